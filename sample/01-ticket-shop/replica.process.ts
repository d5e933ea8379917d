/** One replica as a process of its own; the parent speaks to it over the channel of `fork`. */
import 'reflect-metadata';
import { once } from 'node:events';
import { redis } from 'nestjs-interlock/redis';
import type { Orders, Ready } from './process-stage.js';
import { RemoteSeatStore } from './remote-seat-store.js';
import { startReplica } from './replica.module.js';

// Ctrl-C reaches all processes of a terminal; here the parent decides, so that the locks are given back first.
process.on('SIGINT', () => undefined);

const [orders] = (await once(process, 'message')) as [Orders];
const { name, prefix, redisUrl, storeUrl, locked } = orders;
const app = await startReplica({
  name,
  prefix,
  backend: redis(redisUrl),
  store: new RemoteSeatStore(storeUrl),
  locked,
});

// The parent is done, or dead; what is broken off now is of no interest.
process.once('disconnect', () => {
  app.useLogger(false);
  void app.close().finally(() => process.exit());
});
process.send?.({ url: await app.getUrl() } satisfies Ready);
