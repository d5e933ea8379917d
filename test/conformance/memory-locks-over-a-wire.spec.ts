import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { overAWire } from '../testing/wire.js';
import { describeLocks } from './locks-suite.js';

const server = new MemoryServer();

/** What the core must not lean on is the haste of the memory backend. */
describeLocks('memory, over a wire', {
  create: () => overAWire(memory({ server }), 1),
  processes: { absent: 'its server is inside this process' },
  killNotifications: { absent: 'hints are calls inside this process' },
});
