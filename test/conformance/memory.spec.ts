import { describe, it } from '@jest/globals';
import { describeLockBackend, ManualClock } from 'nestjs-interlock/testing';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';

const clock = new ManualClock();
const server = new MemoryServer({ clock });

describeLockBackend('memory', {
  runner: { describe, it },
  traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
  create: () => memory({ server }),
  clock,
  wait: (ms) => clock.advance(ms),
  leftovers: async () => (server.size.keys === 0 ? [] : [`${server.size.keys} keys`]),
});
