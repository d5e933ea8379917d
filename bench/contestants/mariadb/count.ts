import { createRequire } from 'node:module';
import type { Connection } from 'mysql2';
import { countCalls } from '../../command-count.js';

// its types hide that this is a class
const mysql2 = createRequire(import.meta.url)('mysql2') as { Connection: { prototype: Connection } };

/** Of whatever uses mysql2; imported by all who do. */
countCalls(mysql2.Connection.prototype, 'query', 'execute');
