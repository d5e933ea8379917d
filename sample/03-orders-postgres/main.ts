/** `npm start -- 03-orders-postgres`: thirty orders, three replicas, one database. See README.md. */
import 'reflect-metadata';
import { parseArgs } from 'node:util';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Pool } from 'pg';
import { OrdersModule } from './orders/orders.module.js';
import { OrdersService } from './orders/orders.service.js';

const HELP = `npm start -- 03-orders-postgres [flags]

  --url postgres://…   default postgres://postgres@localhost:5432/postgres, which \`docker compose up -d\` starts
  --help               print this`;

const REPLICAS = ['replica-1', 'replica-2', 'replica-3'];
const ORDERS = 30;

interface Shipped {
  readonly by: string;
  readonly orders: number;
  readonly most: number;
}

try {
  const { values } = parseArgs({ options: { url: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) console.log(HELP);
  else process.exitCode = await play(values.url ?? 'postgres://postgres@localhost:5432/postgres');
} catch (error) {
  console.error(`✘ ${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
  process.exitCode = 2;
}

/** @returns the exit code */
async function play(url: string): Promise<number> {
  const admin = new Pool({ connectionString: url, max: 1 });
  const pools = REPLICAS.map(() => new Pool({ connectionString: url, max: 5 }));
  const apps: INestApplicationContext[] = [];
  try {
    await receiveOrders(admin);
    for (const [nth, pool] of pools.entries()) {
      const module = OrdersModule.of(REPLICAS[nth] ?? '', pool);
      apps.push(await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false }));
    }
    const services = apps.map((app) => app.get(OrdersService));
    const late = (await services[0]?.shipTooLate(0)) ?? 0;
    await Promise.all(services.map((service) => shipAll(service)));
    return report(await shipped(admin), late);
  } finally {
    await Promise.all(apps.map((app) => app.close()));
    await admin.query('DROP TABLE IF EXISTS orders').catch(() => undefined);
    await Promise.all([admin, ...pools].map((pool) => pool.end()));
  }
}

async function receiveOrders(admin: Pool): Promise<void> {
  await admin.query(`DROP TABLE IF EXISTS orders`);
  await admin.query(
    `CREATE TABLE orders (id integer PRIMARY KEY, state text DEFAULT 'new', by text, times integer DEFAULT 0)`,
  );
  await admin.query('INSERT INTO orders (id) SELECT * FROM generate_series(0, $1::integer - 1)', [ORDERS]);
}

/** Every replica would like to ship every order. */
async function shipAll(service: OrdersService): Promise<void> {
  await Promise.all(Array.from({ length: ORDERS }, (_, id) => service.ship(id)));
}

async function shipped(admin: Pool): Promise<readonly Shipped[]> {
  const { rows } = await admin.query<Shipped>(
    `SELECT by, count(*)::integer AS orders, max(times) AS most FROM orders GROUP BY by ORDER BY by`,
  );
  return rows;
}

function report(all: readonly Shipped[], late: number): number {
  console.log(`Orders: ${ORDERS}, each wanted by ${REPLICAS.length} replicas\n`);
  for (const { by, orders } of all) console.log(`  ${by} shipped ${orders}`);
  console.log(`  a holder that stood still past its ttl wrote ${late} rows\n`);
  const once = all.every(({ by, most }) => by !== null && most === 1);
  const whole = all.reduce((sum, { orders }) => sum + orders, 0) === ORDERS;
  if (once && whole && late === 0) {
    console.log('✔ Every order was shipped exactly once, and the late write was refused.');
    return 0;
  }
  console.error('✘ An order was shipped twice, or never, or by somebody who had lost the lock.');
  return 1;
}
