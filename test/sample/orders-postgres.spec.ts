import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { PostgresServer } from '../support/postgres-server.js';

const root = join(import.meta.dirname, '..', '..');

async function start(...flags: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(process.execPath, ['scripts/start.mjs', '03-orders-postgres', ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  await once(child, 'close');
  return { code: child.exitCode, output: (await output).join('') };
}

describe('The orders on PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());

  it('are shipped once each by three replicas, and a late write is refused', async () => {
    const { code, output } = await start('--url', server.url);
    expect(output).toContain('Orders: 30, each wanted by 3 replicas');
    expect(output).toContain('a holder that stood still past its ttl wrote 0 rows');
    expect(output).toContain('✔ Every order was shipped exactly once, and the late write was refused.');
    expect(code).toBe(0);
    expect(await server.query(`SELECT 1 FROM pg_tables WHERE tablename = 'orders'`)).toEqual([]);
  }, 60_000);

  it('say what is wrong when nobody answers', async () => {
    const { code, output } = await start('--url', 'postgres://127.0.0.1:1/none');
    expect(output).toContain('✘ connect ECONNREFUSED 127.0.0.1:1');
    expect(code).toBe(2);
  });
});
