import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { describeLocks } from './locks-suite.js';

const server = new MemoryServer();

describeLocks('memory', {
  create: () => memory({ server }),
  processes: { absent: 'its server is inside this process' },
  killNotifications: { absent: 'hints are calls inside this process' },
});
