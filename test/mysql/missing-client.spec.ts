import { expect, it, jest } from '@jest/globals';
import { SystemClock } from '../../lib/core/clock.js';

jest.unstable_mockModule('mysql2/promise', () => {
  throw new Error("Cannot find package 'mysql2'");
});

it('says which package to install when mysql2 is missing', async () => {
  const { mysql } = await import('../../lib/backends/mysql/index.js');
  const start = mysql().start({
    clock: new SystemClock(),
    identity: 'test',
    doubt: () => undefined,
    report: () => undefined,
  });
  await expect(start).rejects.toThrow(
    'nestjs-interlock/mysql needs the package mysql2: install it with `npm install mysql2`.',
  );
});
