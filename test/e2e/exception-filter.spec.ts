import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Controller, ForbiddenException, Get, Logger, Param, Res } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import {
  LockConfigurationError,
  LockError,
  LockExceptionFilter,
  LockKeyError,
  LockLostError,
  LockModule,
  LockTimeoutError,
  LockUnavailableError,
  NotLeaderError,
} from 'nestjs-interlock';
import { serve, type HttpApp } from '../support/http-app.js';

const SECRET = 'order:of-somebody-else on redis.internal';
const details = { key: SECRET };

/** As a second copy of the package, loaded as CommonJS beside the ES module, would throw it. */
function foreign(...lineage: string[]): Error {
  const error = new Error(SECRET);
  error.name = lineage[0] ?? 'Error';
  Object.defineProperty(error, Symbol.for('nestjs-interlock.error.lineage'), { value: lineage });
  return error;
}

const ERRORS: Readonly<Record<string, () => Error>> = {
  timeout: () => new LockTimeoutError(SECRET, { ...details, waitedMs: 5 }),
  unavailable: () => new LockUnavailableError(SECRET, details),
  lost: () => new LockLostError(SECRET, { ...details, reason: 'gone', fence: 7n }),
  leader: () => new NotLeaderError(SECRET, { group: 'reports' }),
  key: () => new LockKeyError(SECRET, details),
  configuration: () => new LockConfigurationError(SECRET),
  other: () => new LockError(SECRET),
  'foreign-timeout': () => foreign('LockTimeoutError', 'LockError'),
  'foreign-unavailable': () => foreign('LockUnavailableError', 'LockError'),
  'foreign-key': () => foreign('LockKeyError', 'LockError'),
  'foreign-nothing': () => foreign('SomethingError'),
  forbidden: () => new ForbiddenException('not you'),
  plain: () => new Error('of the program'),
};

interface Response {
  write(text: string): void;
}

@Controller()
class Failing {
  @Get('after-headers')
  afterHeaders(@Res() response: Response): never {
    response.write('part one');
    throw new LockLostError(SECRET, { ...details, reason: 'gone', fence: 7n });
  }

  @Get(':what')
  fail(@Param('what') what: string): never {
    throw ERRORS[what]?.() ?? new Error(`no such error: ${what}`);
  }
}

const WAYS: readonly [string, () => Promise<HttpApp>][] = [
  [
    'as APP_FILTER',
    () =>
      serve({
        imports: [LockModule.forRoot()],
        controllers: [Failing],
        providers: [{ provide: APP_FILTER, useClass: LockExceptionFilter }],
      }),
  ],
  [
    'by useGlobalFilters',
    () =>
      serve({ imports: [LockModule.forRoot()], controllers: [Failing] }, (app) =>
        app.useGlobalFilters(new LockExceptionFilter(app.get(HttpAdapterHost))),
      ),
  ],
];

const BUSY = 'This is in use right now; try again.';
const SOON = 'This cannot be done right now; try again soon.';
const INTERNAL = 'Internal server error';

const logged: unknown[] = [];
afterEach(() => {
  jest.restoreAllMocks();
  logged.length = 0;
});

function watchErrors(): void {
  jest.spyOn(Logger.prototype, 'error').mockImplementation((message: unknown) => void logged.push(message));
}

describe.each(WAYS)('the filter %s', (_, start) => {
  test.each([
    ['timeout', 409, 'LockTimeoutError', BUSY, null],
    ['unavailable', 503, 'LockUnavailableError', SOON, '1'],
    ['lost', 503, 'LockLostError', SOON, '1'],
    ['leader', 503, 'NotLeaderError', SOON, '1'],
    ['key', 500, 'LockKeyError', INTERNAL, null],
    ['configuration', 500, 'LockConfigurationError', INTERNAL, null],
    ['other', 500, 'LockError', INTERNAL, null],
    ['foreign-timeout', 409, 'LockTimeoutError', BUSY, null],
    ['foreign-unavailable', 503, 'LockUnavailableError', SOON, '1'],
    ['foreign-key', 500, 'LockKeyError', INTERNAL, null],
  ])(
    'answers %s by %i, without telling of keys and servers',
    async (what, statusCode, error, message, retryAfter) => {
      watchErrors();
      const reply = await (await start()).get(`/${what}`);
      expect(reply.body).toEqual({ statusCode, error, message });
      expect(reply.status).toBe(statusCode);
      expect(reply.headers.get('retry-after')).toBe(retryAfter);
      expect(reply.headers.get('content-type')).toContain('application/json');
    },
  );

  test.each([
    ['forbidden', { statusCode: 403, message: 'not you', error: 'Forbidden' }],
    ['plain', { statusCode: 500, message: INTERNAL }],
    ['foreign-nothing', { statusCode: 500, message: INTERNAL }],
  ])('leaves %s to Nest', async (what, body) => {
    watchErrors();
    const reply = await (await start()).get(`/${what}`);
    expect(reply.body).toEqual(body);
  });

  test('ends an answer that has begun, and does not fail on it', async () => {
    watchErrors();
    const reply = await (await start()).get('/after-headers');
    expect(reply).toMatchObject({ status: 200, body: 'part one' });
    expect(logged).toEqual([]);
  });

  test('logs what the client is not told of a mistake in the program, and nothing of what will pass', async () => {
    watchErrors();
    const { get } = await start();
    for (const what of ['timeout', 'unavailable', 'lost', 'leader']) await get(`/${what}`);
    expect(logged).toEqual([]);
    await get('/key');
    expect(logged).toEqual([SECRET]);
  });
});

test('a class of one’s own may answer otherwise', async () => {
  class Teapot extends LockExceptionFilter {
    protected override refusalOf(error: LockError) {
      return { ...super.refusalOf(error), statusCode: 418, retryAfterSeconds: 30 };
    }
  }
  const { get } = await serve({ controllers: [Failing] }, (app) =>
    app.useGlobalFilters(new Teapot(app.get(HttpAdapterHost))),
  );
  const reply = await get('/timeout');
  expect(reply).toMatchObject({ status: 418, body: { statusCode: 418, error: 'LockTimeoutError' } });
  expect(reply.headers.get('retry-after')).toBe('30');
});
