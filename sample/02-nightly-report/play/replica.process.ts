/** One replica as a process of its own; the parent speaks to it over the channel of `fork`. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { LeaderService } from 'nestjs-interlock';
import { redis } from 'nestjs-interlock/redis';
import { once } from 'node:events';
import { ReportModule } from '../report/report.module.js';
import type { News, Orders } from './process-stage.js';

// Ctrl-C reaches all processes of a terminal; here the parent decides, so that the locks are given back first.
process.on('SIGINT', () => undefined);

const parentIsGone = once(process, 'disconnect');

function tell(news: News): void {
  if (process.connected) process.send?.(news);
}

const [{ name, prefix, redisUrl }] = (await once(process, 'message')) as [Orders];
const module = ReportModule.register({ name, prefix, backend: redis(redisUrl), diary: { write: tell } });
const app = await NestFactory.createApplicationContext(module, { logger: ['error', 'fatal'] });
process.on('message', () => void app.get(LeaderService).resign());
tell('ready');

await parentIsGone;
await app.close();
process.exit();
