import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureServers, findRedisServer } from '../../scripts/servers.mjs';
import { RedisServer } from '../support/redis-server.js';

const LIMIT_MS = 60_000;
const root = join(import.meta.dirname, '../..');

interface Run {
  readonly code: number | null;
  readonly output: string;
}

/** Each of its processes inherits this variable, and puts its scratch files there. */
let scratch: string;

beforeAll(async () => {
  await ensureServers();
  scratch = await mkdtemp(join(tmpdir(), 'interlock-sample-'));
}, 120_000);

afterAll(() => rm(scratch, { recursive: true, force: true }));

function start(...flags: string[]): { run: Promise<Run>; interrupt: () => void; said: Promise<void> } {
  const program = findRedisServer();
  const child = spawn(process.execPath, ['scripts/start.mjs', ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: scratch, ...(program && { INTERLOCK_REDIS_SERVER: program }) },
  });
  const closed = once(child, 'close');
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const run = closed.then(async () => ({ code: child.exitCode, output: (await output).join('') }));
  const said = once(child.stdout, 'data').then(() => undefined);
  return { run, said, interrupt: () => child.kill('SIGINT') };
}

/** The processes of a run that live on, a moment after its end. */
async function leftovers(): Promise<string[]> {
  let found: string[] = [];
  for (let tries = 0; tries < 20; tries++) {
    found = await processesOf(scratch);
    if (found.length === 0) break;
    await sleep(50);
  }
  return [...found, ...(await readdir(scratch))];
}

async function processesOf(marker: string): Promise<string[]> {
  const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const commands = ids.map(async (id) => {
    const environment = await readFile(`/proc/${id}/environ`, 'utf8').catch(() => '');
    return environment.includes(marker) ? readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '') : '';
  });
  return (await Promise.all(commands)).filter((command) => command !== '');
}

describe('The ticket shop', () => {
  it(
    'sells each seat exactly once, with three applications in one process',
    async () => {
      const { code, output } = await start().run;

      expect(output).toContain('sold exactly once   20 of 20 seats');
      expect(output).toContain('GET /health         up, up, up');
      expect(output).toMatch(/GET \/metrics {8}\d{3} locks taken, \d+ found busy/);
      expect(output).toMatch(/replica-3 goes on, and its write is refused: fence \d+/);
      expect(output).toContain('✔ Every seat was sold exactly once.');
      expect(code).toBe(0);
      expect(output.split('\n').length).toBeLessThanOrEqual(26);
      expect(await leftovers()).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'sells seats twice without the lock, and says so',
    async () => {
      const { code, output } = await start('--no-lock').run;

      expect(output).toMatch(/✘ \d+ seats were sold more than once: A1,/);
      expect(output).not.toContain('✔');
      expect(code).toBe(1);
      expect(await leftovers()).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'sells each seat exactly once, with three processes and a Redis of their own',
    async () => {
      const { code, output } = await start('--backend', 'redis').run;

      expect(output).toContain('sold exactly once   20 of 20 seats');
      expect(output).toContain('GET /health         up, up, up');
      expect(output).toMatch(/GET \/metrics {8}\d{3} locks taken, \d+ found busy/);
      expect(output).toContain('replica-3 is killed (SIGKILL)');
      expect(output).toMatch(/replica-2 goes on, and its write is refused: fence \d+/);
      expect(output).toContain('✔ Every seat was sold exactly once.');
      expect(code).toBe(0);
      expect(await leftovers()).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'leaves nothing behind on a server of others',
    async () => {
      await using server = await RedisServer.start();
      const client = new Redis(server.url);
      try {
        await client.set('ticket', 'not of the sample');

        const { code } = await start('--url', server.url).run;

        expect(code).toBe(0);
        expect(await client.keys('*')).toEqual(['ticket']);
        expect(await leftovers()).toEqual([]);
      } finally {
        client.disconnect();
      }
    },
    LIMIT_MS,
  );

  it(
    'clears the stage when it is interrupted',
    async () => {
      const { run, said, interrupt } = start('--backend', 'redis');
      await said;
      interrupt();
      const { code, output } = await run;

      expect(output).toContain('✘ Stopped by SIGINT.');
      expect(code).toBe(1);
      expect(await leftovers()).toEqual([]);
    },
    LIMIT_MS,
  );

  it.each([
    [['--backend', 'etcd'], 'There is no backend "etcd" here; use memory or redis.'],
    [['--fast'], "Unknown option '--fast'."],
    [
      ['--url', 'localhost'],
      '--url localhost is no address of a Redis; give one like redis://localhost:6379.',
    ],
  ])('explains what is wrong with %j', async (flags, sentence) => {
    const { code, output } = await start(...flags).run;

    expect(output).toContain(sentence);
    expect(output).toContain('npm start -- [flags]');
    expect(code).toBe(2);
  });

  it('says at once when no Redis answers', async () => {
    const { code, output } = await start('--url', 'redis://127.0.0.1:1').run;

    expect(output).toContain('✘ No Redis answers at redis://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1.');
    expect(code).toBe(1);
  });
});
