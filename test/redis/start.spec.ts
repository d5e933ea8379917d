import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { allowedScript, allScripts } from '../../lib/backends/redis/redis-script.js';
import { assertUsable, parseInfo } from '../../lib/backends/redis/redis-server-info.js';
import { listed } from '../support/listed.js';
import { busy, failureOf, granted, listenTo, RedisTrial, until } from '../support/redis-trial.js';

/** As README.md says it, under "Redis". */
const README_COMMANDS =
  '+@string +@hash +@sortedset +@keyspace -@dangerous +@scripting +@pubsub +@connection +info +time'.split(
    ' ',
  );

describe('starting on a Redis server', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  const refusal = async (backend: LockBackend): Promise<string> => {
    const { message, certainty } = await failureOf(trial.connect(backend));
    expect(certainty).toBe('denied');
    return message;
  };

  it('fails in a sentence when nobody listens there', async () => {
    expect(await refusal(redis('redis://127.0.0.1:1'))).toBe(
      'Redis at 127.0.0.1:1 cannot be reached (connect ECONNREFUSED 127.0.0.1:1): start it, or correct the address given to redis().',
    );
  });

  it('fails in a sentence, without the password, when the password is wrong', async () => {
    await trial.admin.call('ACL', 'SETUSER', 'ann', 'on', '>right', '~*', '&*', '+@all');
    const backend = redis(`redis://ann:wr0ng@127.0.0.1:${trial.server.port}`);
    const failure: unknown = await trial.connect(backend).catch((error: unknown) => error);
    expect(String(failure)).toContain('cannot be used: the user name or the password is wrong (WRONGPASS');
    expect(inspect(failure, { depth: 9 })).not.toContain('wr0ng');
  });

  it('fails in a sentence when a password is missing', async () => {
    await trial.admin.config('SET', 'requirepass', 'secret');
    try {
      expect(await refusal(redis(trial.server.url))).toContain(
        'it wants a password: give one to redis() (NOAUTH',
      );
    } finally {
      await trial.admin.config('SET', 'requirepass', '');
    }
  });

  it('fails in a sentence when the user may not run scripts', async () => {
    await trial.admin.call('ACL', 'SETUSER', 'bob', 'on', '>x', '~*', '&*', '+@all', '-@scripting');
    const backend = redis(`redis://bob:x@127.0.0.1:${trial.server.port}`);
    expect(await refusal(backend)).toContain("cannot be used: the user's ACL does not allow it (NOPERM");
  });

  it('names the commands that the user may not run', async () => {
    const rules = ['on', '>x', '~{trial*', '&interlock:*', '+@all', '-zadd', '-zrange'];
    await trial.admin.call('ACL', 'SETUSER', 'dan', ...rules);
    expect(await refusal(redis(`redis://dan:x@127.0.0.1:${trial.server.port}`))).toMatch(
      /cannot be used: the user's ACL does not allow ZADD, ZRANGE, which the locks need\.$/,
    );
    expect(await trial.names()).toEqual([]);
  });

  it('needs no more of an ACL than the README says', async () => {
    const rules = ['on', '>x', '~{trial*', '&interlock:*', '-@all', ...README_COMMANDS];
    await trial.admin.call('ACL', 'SETUSER', 'fay', ...rules);
    const target = redis(`redis://fay:x@127.0.0.1:${trial.server.port}`);
    const { backend, reports } = await trial.connect(target);
    for (const wish of [{}, { mode: 'shared' }, { mode: 'permits', of: 2 }] as const) {
      const holder = await granted(backend, trial.claim(wish));
      const place = await busy(backend, trial.claim({ queue: true }));
      const ear = listenTo(place);
      expect(await backend.renew([holder])).toEqual(['renewed']);
      expect(await backend.release(holder)).toBe('released');
      await until(() => ear.hints === 1, 'the hint');
      expect(await place.retry()).toHaveProperty('fence');
      expect(await backend.evict('trial:key')).toBe(true);
    }
    expect(await listed(backend, 'trial:')).toEqual([]);
    expect(reports).toEqual([]);
  });

  it('reports that the user may not publish, and works without hints', async () => {
    const rules = ['on', '>x', '~*', '&*', '+@all', '-publish'];
    await trial.admin.call('ACL', 'SETUSER', 'gus', ...rules);
    const { backend, reports } = await trial.connect(redis(`redis://gus:x@127.0.0.1:${trial.server.port}`));
    expect(reports.map(({ message }) => message)).toEqual([
      expect.stringContaining(
        'does not let us publish to channels "interlock:*", so waiting falls back to polling',
      ),
    ]);
    const holder = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    expect(await backend.release(holder)).toBe('released');
  });

  it('tries every command that a script uses', () => {
    const used = allScripts.flatMap(({ source }) => [...source.matchAll(/\b(?:call|pcall)\('(\w+)'/g)]);
    const tried = [...allowedScript.source.matchAll(/\{ '(\w+)'/g)].map(([, command]) => command);
    expect(new Set(tried)).toEqual(new Set(used.map(([, command]) => command)));
  });

  it('says how far the clock of the server is from ours', async () => {
    const now = jest
      .spyOn(Date, 'now')
      .mockImplementation(() => performance.timeOrigin + performance.now() - 3_600_000);
    try {
      const { reports } = await trial.connect();
      expect(reports.map(({ message }) => message)).toEqual([
        expect.stringMatching(/^The clock of Redis at .* is 3600 s ahead of ours\. No lock depends on that/),
      ]);
    } finally {
      now.mockRestore();
    }
  });

  it('warns of settings of a client by which it does things late', async () => {
    const warningsOf = async (options: object): Promise<string[]> => {
      const client = new Redis({ port: trial.server.port, ...options });
      const { reports, backend } = await trial.connect(redis(client));
      await backend.stop();
      client.disconnect();
      return reports.map(({ message }) => message);
    };
    expect(await warningsOf({})).toEqual([]);
    expect(await warningsOf({ enableOfflineQueue: true, maxRetriesPerRequest: 3 })).toEqual([]);
    expect(await warningsOf({ maxRetriesPerRequest: null })).toEqual([
      expect.stringContaining('has the setting maxRetriesPerRequest: null: it sends again, however late,'),
    ]);
    expect(await warningsOf({ commandTimeout: 500 })).toEqual([
      expect.stringContaining('has the setting commandTimeout: a command that timed out is still sent again'),
    ]);
    const without = { autoResendUnfulfilledCommands: false };
    expect(await warningsOf({ maxRetriesPerRequest: null, commandTimeout: 500, ...without })).toEqual([]);
  });

  it('fails in a sentence on a replica', async () => {
    await trial.admin.call('REPLICAOF', '127.0.0.1', '1');
    try {
      expect(await refusal(redis(trial.server.url))).toContain(
        'cannot be used: it is a replica, which takes no writes; give the address of the primary.',
      );
    } finally {
      await trial.admin.call('REPLICAOF', 'NO', 'ONE');
    }
  });

  it('fails within five seconds when the server does not answer', async () => {
    trial.server.freeze();
    const startMs = performance.now();
    try {
      expect(await refusal(redis(trial.server.url))).toContain(
        'cannot be reached (no answer within 5000 ms)',
      );
      expect(performance.now() - startMs).toBeLessThan(7_500);
    } finally {
      trial.server.thaw();
    }
  });

  it('refuses a closed client', async () => {
    const closed = new Redis({ port: trial.server.port, lazyConnect: true });
    await closed.connect();
    closed.disconnect();
    await until(() => closed.status === 'end', 'the end');
    expect(await refusal(redis(closed))).toContain('the client that was handed in is closed');
  });

  it('refuses a node of a cluster, a Sentinel and a version that is too old', () => {
    const check = (facts: object) => () => {
      const all = { redis_version: '7.0.15', redis_mode: 'standalone', role: 'master', ...facts };
      const text = Object.entries(all)
        .map(([name, value]) => `${name}:${value}`)
        .join('\r\n');
      assertUsable(parseInfo(text), 'here', 'standalone');
    };
    expect(check({})).not.toThrow();
    expect(check({ redis_version: '6.2.0' })).not.toThrow();
    expect(check({ redis_version: '6.0.16' })).toThrow(
      'Redis at here cannot be used: it is version 6.0.16, and 6.2 is',
    );
    expect(check({ redis_version: '5.0.14' })).toThrow('it is version 5.0.14');
    expect(check({ redis_mode: 'cluster' })).toThrow('it is a node of a cluster');
    expect(check({ redis_mode: 'sentinel' })).toThrow('it is a Sentinel');
  });

  it('reports that the server may throw locks away when its memory is full', async () => {
    await trial.admin.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'volatile-lru');
    try {
      const { reports } = await trial.connect();
      expect(reports.map(({ message }) => message)).toEqual([
        expect.stringContaining(
          'may throw locks away when its memory is full (maxmemory-policy volatile-lru)',
        ),
      ]);
    } finally {
      await trial.admin.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
    }
  });

  it('reports that the user may not listen, and works without hints', async () => {
    await trial.admin.call('ACL', 'SETUSER', 'eve', 'on', '>x', '~*', 'resetchannels', '+@all');
    const { backend, reports } = await trial.connect(redis(`redis://eve:x@127.0.0.1:${trial.server.port}`));
    expect(reports.map(({ message }) => message)).toEqual([
      expect.stringContaining('does not let us publish to channels "interlock:*"'),
      expect.stringContaining(
        'does not let us listen to channels "interlock:*", so waiting falls back to polling',
      ),
    ]);
    const holder = await granted(backend, trial.claim());
    const place = await busy(backend, trial.claim({ queue: true }));
    expect(await backend.release(holder)).toBe('released');
    expect(await place.retry()).toHaveProperty('fence');
  });

  it('says before the start and after the stop that it is not running', async () => {
    const backend = redis(trial.server.url);
    expect((await failureOf(backend.claim(trial.claim()))).message).toContain('is not running');
    await trial.connect(backend);
    await backend.stop();
    expect((await failureOf(backend.inspect('trial:key'))).message).toContain('is not running');
    expect(await backend.nodes()).toMatchObject([{ state: 'down' }]);
    await backend.stop();
  });
});
