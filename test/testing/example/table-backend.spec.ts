import { describe, it } from '@jest/globals';
import { describeLockBackend, ManualClock } from 'nestjs-interlock/testing';
import { Table, TableBackend } from './table-backend.js';

const clock = new ManualClock();
const table = new Table(() => clock.now());

describeLockBackend('table', {
  runner: { describe, it },
  traits: { modes: ['exclusive'], fence: 'strict', wakeUp: 'poll' },
  create: () => new TableBackend(table),
  clock,
  wait: (ms) => clock.advance(ms),
  leftovers: async () => [...table.rows.keys()].filter((key) => table.read(key)),
});
