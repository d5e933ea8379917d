import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { granted, RedisTrial } from '../support/redis-trial.js';

interface Command {
  readonly name: string;
  resolve: (reply: unknown) => void;
  reject: (error: unknown) => void;
}

/** As the instrumentations of OpenTelemetry and Sentry do it: theirs around the command's, which they call unbound. */
function trace(client: Redis): string[] {
  const spans: string[] = [];
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, ...rest) => {
    const traced = command as unknown as Command;
    const { name, resolve, reject } = traced;
    traced.resolve = (reply) => {
      spans.push(name);
      resolve(reply);
    };
    traced.reject = (error) => {
      spans.push(`${name} failed`);
      reject(error);
    };
    return send(command, ...rest);
  };
  return spans;
}

describe.each([2, 3] as const)('a client whose commands are traced, with RESP%i', (protocol) => {
  let trial: RedisTrial;
  let client: Redis;
  let spans: string[];
  let backend: LockBackend;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  beforeEach(async () => {
    client = new Redis({ port: trial.server.port, protocol });
    ({ backend } = await trial.connect(redis(client)));
    spans = trace(client);
  });
  afterEach(async () => {
    await trial.clear();
    client.disconnect();
  });
  afterAll(() => trial.close());

  it('has its locks, and each step among its spans', async () => {
    const grant = await granted(backend, trial.claim());
    expect(spans).toEqual(['evalsha']);
    await sleep(5);
    expect(await backend.release(grant)).toBe('released');
    expect(spans).toEqual(['evalsha', 'time', 'evalsha']);
  });

  it('has them when the server has forgotten the scripts', async () => {
    await trial.admin.script('FLUSH');
    const grant = await granted(backend, trial.claim());
    expect(spans).toEqual(['evalsha failed', 'eval']);
    expect(await backend.release(grant)).toBe('released');
  });

  it('is served on when what traces it throws', async () => {
    const send = client.sendCommand.bind(client);
    client.sendCommand = () => {
      throw new Error('no tracer');
    };
    await expect(backend.claim(trial.claim())).rejects.toThrow('no tracer');
    client.sendCommand = send;
    const grants = await Promise.all(
      [1, 2, 3].map((n) => granted(backend, trial.claim({ key: `trial:${n}` }))),
    );
    expect(grants).toHaveLength(3);
  });
});
