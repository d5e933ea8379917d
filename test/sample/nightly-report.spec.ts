import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { findRedisServer } from '../../scripts/servers.mjs';

const root = join(import.meta.dirname, '..', '..');
const LIMIT_MS = 90_000;

async function start(...flags: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const program = findRedisServer();
  const child = spawn(process.execPath, ['scripts/start.mjs', '02-nightly-report', ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...(program && { INTERLOCK_REDIS_SERVER: program }) },
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  await once(child, 'close');
  return { code: child.exitCode, output: (await output).join('') };
}

describe('The nightly report', () => {
  it.each([
    ['four applications in one process', [], 'is cut off from the lock server'],
    ['four processes and a Redis of their own', ['--backend', 'redis'], 'is killed (SIGKILL)'],
  ])(
    'is made once in each tick, with %s',
    async (_where, flags, accident) => {
      const { code, output } = await start(...flags);

      expect(output).toMatch(/@OncePerTick +(\d+) of \1 ticks ran exactly once/);
      expect(output).toMatch(/leads, and resigns: replica-\d leads after \d+ ms/);
      expect(output).toContain(`leads, and ${accident}: replica-`);
      expect(output).toMatch(/8 of 8 shards, \d+ moves/);
      expect(output).toContain('each with a higher term');
      expect(output).toContain('✔ Every tick ran exactly once.');
      expect(code).toBe(0);
    },
    LIMIT_MS,
  );

  it('explains what is wrong with its flags', async () => {
    const { code, output } = await start('--backend', 'etcd');

    expect(output).toContain('There is no backend "etcd" here; use memory or redis.');
    expect(output).toContain('npm start -- 02-nightly-report [flags]');
    expect(code).toBe(2);
  });
});
