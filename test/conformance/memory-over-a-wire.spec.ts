import { describe, it } from '@jest/globals';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { overAWire } from '../testing/wire.js';

/** In real time and with latency: what the suite asks of a server must not lean on the memory backend's haste. */
const server = new MemoryServer();

describeLockBackend('memory, over a wire', {
  runner: { describe, it },
  sideBySide: 8,
  traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
  create: () => overAWire(memory({ server }), 1),
  shortTtlMs: 150,
  leftovers: async () => (server.size.keys === 0 ? [] : [`${server.size.keys} keys`]),
});
