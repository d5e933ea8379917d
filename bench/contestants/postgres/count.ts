import pg from 'pg';
import { countCalls } from '../../command-count.js';

/** Of whatever uses pg; imported by all who do. */
countCalls(pg.Client.prototype, 'query');
