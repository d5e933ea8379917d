import { expect, it, jest } from '@jest/globals';
import { SystemClock } from '../../lib/core/clock.js';

jest.unstable_mockModule('ioredis', () => {
  throw new Error("Cannot find package 'ioredis'");
});

it('says which package to install when ioredis is missing', async () => {
  const { redis } = await import('../../lib/backends/redis/index.js');
  const start = redis().start({
    clock: new SystemClock(),
    identity: 'test',
    doubt: () => undefined,
    report: () => undefined,
  });
  await expect(start).rejects.toThrow(
    'nestjs-interlock/redis needs the package ioredis: install it with `npm install ioredis`.',
  );
});
