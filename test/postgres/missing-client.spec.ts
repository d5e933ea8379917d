import { expect, it, jest } from '@jest/globals';
import { SystemClock } from '../../lib/core/clock.js';

jest.unstable_mockModule('pg', () => {
  throw new Error("Cannot find package 'pg'");
});

it('says which package to install when pg is missing', async () => {
  const { postgres } = await import('../../lib/backends/postgres/index.js');
  const start = postgres().start({
    clock: new SystemClock(),
    identity: 'test',
    doubt: () => undefined,
    report: () => undefined,
  });
  await expect(start).rejects.toThrow(
    'nestjs-interlock/postgres needs the package pg: install it with `npm install pg`.',
  );
});
