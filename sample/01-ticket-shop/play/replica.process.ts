/** One replica as a process of its own; the parent speaks to it over the channel of `fork`. */
import 'reflect-metadata';
import { once } from 'node:events';
import { redis } from 'nestjs-interlock/redis';
import { RemoteSeatStore } from '../shop/remote-seat-store.js';
import type { Orders, Ready } from './process-stage.js';
import { startReplica } from './replica.js';

// Ctrl-C reaches all processes of a terminal; here the parent decides, so that the locks are given back first.
process.on('SIGINT', () => undefined);

const parentIsGone = once(process, 'disconnect');

const [orders] = (await once(process, 'message')) as [Orders];
const { name, prefix, redisUrl, storeUrl, locked } = orders;
const app = await startReplica({
  name,
  prefix,
  backend: redis(redisUrl),
  store: new RemoteSeatStore(storeUrl),
  locked,
});
process.send?.({ url: await app.getUrl() } satisfies Ready);

await parentIsGone;
// What is broken off now is of no interest to anybody.
app.useLogger(false);
await app.close();
process.exit();
