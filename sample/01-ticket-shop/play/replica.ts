import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ShopModule, type ShopOptions } from '../shop/shop.module.js';

/** One replica: an ordinary Nest application on a free port. */
export async function startReplica(options: ShopOptions): Promise<INestApplication> {
  const app = await NestFactory.create(ShopModule.register(options), { logger: ['error', 'fatal'] });
  await app.listen(0, '127.0.0.1');
  return app;
}
