/**
 * A program that takes locks on a server and may be killed meanwhile. It is run as JavaScript, or, by hand:
 *
 *     node --import ./scripts/ts.mjs test/support/lock-child.ts redis <url> <prefix> hold <key> <ttlMs>
 *     node --import ./scripts/ts.mjs test/support/lock-child.ts redis <url> <prefix> work <key> <turns>
 *
 * It tells what it does in lines of JSON. Times are those of `process.hrtime`, one clock for the whole machine.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { Locks } from '../../lib/core/locks.js';

/** One stretch of time in which this process believed to hold the key. */
export interface Turn {
  readonly fence: string;
  readonly enteredNs: string;
  readonly leftNs: string;
}

const BACKENDS: Readonly<Record<string, (target: string) => LockBackend>> = {
  mysql: (url) => mysql(url),
  'mysql-1': (url) => mysql(url, { connectionLimit: 1 }),
  postgres: (url) => postgres(url),
  'postgres-1': (url) => postgres(url, { max: 1 }),
  redis: (url) => redis(url),
};

const [kind = '', target = '', prefix = '', verb = '', key = '', number = ''] = process.argv.slice(2);
const make = BACKENDS[kind];
if (!make) throw new Error(`There is no backend ${kind}.`);
const locks = new Locks(make(target), { prefix });

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function hold(): Promise<void> {
  const lease = await locks.acquire(key, { ttl: Number(number) });
  tell({ held: lease.fence.toString() });
  // until somebody kills it
  await sleep(60_000);
}

async function work(): Promise<void> {
  await locks.start();
  tell({ ready: true });
  for (let turn = 0; turn < Number(number); turn++) {
    await locks.using(key, { wait: '20s', ttl: '2s' }, async (lease) => {
      const enteredNs = process.hrtime.bigint();
      await sleep(turn % 3);
      lease.assertHeld();
      const leftNs = process.hrtime.bigint();
      tell({ fence: `${lease.fence}`, enteredNs: `${enteredNs}`, leftNs: `${leftNs}` } satisfies Turn);
    });
  }
  await locks.stop();
}

if (verb === 'hold') await hold();
else await work();
