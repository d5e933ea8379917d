import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { redis } from '../../lib/backends/redis/index.js';
import { redisError } from '../../lib/backends/redis/redis-error.js';
import { RedisServer } from '../support/redis-server.js';
import { failureOf, granted, RedisTrial, until } from '../support/redis-trial.js';

describe('what a Redis server refuses', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open(
      '--enable-debug-command',
      'local',
      '--busy-reply-threshold',
      '50',
      '--enable-protected-configs',
      'yes',
    );
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  const set = (...settings: string[]): Promise<unknown> =>
    trial.admin.config('SET', ...(settings as [string, string]));

  const cases = [
    {
      code: 'NOREPLICAS',
      remedy: 'too few of its replicas are in reach',
      begin: () => set('min-replicas-to-write', '3'),
      end: () => set('min-replicas-to-write', '0'),
    },
    {
      code: 'MISCONF',
      remedy: 'it stopped taking writes because it cannot save to disk',
      begin: async () => {
        await set('save', '3600 1');
        await failToSave();
      },
      end: async () => {
        await set('save', '', 'stop-writes-on-bgsave-error', 'no');
        await set('stop-writes-on-bgsave-error', 'yes');
      },
    },
    {
      code: 'BUSY',
      remedy: 'it is busy with a long script',
      begin: async () => {
        const client = trial.admin.duplicate();
        client.on('error', () => undefined);
        client.eval('while true do end', 0).catch(() => client.disconnect());
        await new Promise((resolve) => {
          setTimeout(resolve, 200);
        });
      },
      end: async () => {
        await trial.admin.script('KILL');
        const answers = (): Promise<boolean> =>
          trial.admin.get('any').then(
            () => true,
            () => false,
          );
        await until(answers, 'the end of the script');
      },
    },
    {
      code: 'NOPERM',
      remedy: "the user's ACL does not allow it",
      begin: () => trial.admin.call('ACL', 'SETUSER', 'default', '-evalsha'),
      end: () => trial.admin.call('ACL', 'SETUSER', 'default', '+evalsha'),
    },
  ];

  it.each(cases)('is denied, with the remedy: $code', async ({ code, remedy, begin, end }) => {
    const { backend } = await trial.connect();
    await begin();
    try {
      const { certainty, message } = await failureOf(backend.claim(trial.claim()));
      expect(message).toContain(`${remedy} (${code}`);
      expect(certainty).toBe('denied');
    } finally {
      await end();
    }
    await granted(backend, trial.claim());
  });

  it('is denied, with the remedy: LOADING', async () => {
    await using server = await RedisServer.start(
      '--enable-debug-command',
      'local',
      '--key-load-delay',
      '1000',
      '--loading-process-events-interval-bytes',
      '1024',
    );
    await server.call('DEBUG', 'POPULATE', '3000');
    await server.call('SAVE');
    const { backend } = await trial.connect(redis(server.url));
    // it loads what it saved, for about three seconds
    const reload = server.call('DEBUG', 'RELOAD', 'NOSAVE').catch(() => undefined);
    let failure;
    do failure = await backend.claim(trial.claim()).then(() => undefined, failed);
    while (!failure);
    expect(failure.message).toContain('it is still loading its data (LOADING');
    expect(failure).toMatchObject({ certainty: 'denied' });
    await reload;
  });

  it('is a connection, when it has as many as it allows', async () => {
    const before = await trial.admin.config('GET', 'maxclients');
    await set('maxclients', '1');
    try {
      const { certainty, message } = await failureOf(trial.connect());
      expect(certainty).toBe('denied');
      expect(message).toMatch(/it has as many connections as it allows: raise maxclients|cannot be reached/);
    } finally {
      await set('maxclients', String(before[1]));
    }
  });

  it('is known by its code also where a client or an older server puts words before it', () => {
    const certaintyOf = (message: string): string =>
      redisError('claim a', 'here', new Error(message)).certainty;
    const inScript =
      'ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:1: @user_script: 1:';
    expect(certaintyOf(`${inScript} -READONLY You can't write against a read only replica.`)).toBe('denied');
    expect(certaintyOf(`${inScript} -OOM command not allowed when used memory > 'maxmemory'.`)).toBe(
      'denied',
    );
    expect(certaintyOf(`${inScript} Script attempted to access a non local key`)).toBe('unknown');
    const tooMany = 'Too many Cluster redirections. Last error:';
    expect(certaintyOf(`${tooMany} ReplyError: TRYAGAIN Multiple keys request`)).toBe('denied');
    expect(certaintyOf(`${tooMany} Error: Connection is closed.`)).toBe('unknown');
    expect(certaintyOf('Connection is closed.')).toBe('unknown');
    expect(certaintyOf('ERR something new')).toBe('unknown');
  });

  /** A snapshot that cannot be written: its folder is gone. */
  async function failToSave(): Promise<void> {
    const [, folder] = (await trial.admin.config('GET', 'dir')) as [string, string];
    await trial.admin.config('SET', 'dir', '/proc/self').catch(() => undefined);
    await trial.admin.bgsave();
    const failed = async (): Promise<boolean> =>
      (await trial.admin.info('persistence')).includes('rdb_last_bgsave_status:err');
    for (let i = 0; i < 100 && !(await failed()); i++) {
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
    }
    await trial.admin.config('SET', 'dir', folder);
  }
});

describe('TLS to a Redis server', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'interlock-tls-'));
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
    await promisify(execFile)('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      ...names,
      ...files,
    ]);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('works with a certificate that is trusted, and says in a sentence that it is not', async () => {
    const files = ['--tls-cert-file', join(folder, 'cert.pem'), '--tls-key-file', join(folder, 'key.pem')];
    const trial = await RedisTrial.open('--tls-port', '0', '--tls-auth-clients', 'no', ...files);
    try {
      const [port] = await freeTlsPort(trial);
      const { message } = await failureOf(trial.connect(redis(`rediss://localhost:${port}`)));
      expect(message).toContain(
        'its certificate is not trusted: give the authority that issued it in `tls: { ca }` (',
      );
      const ca = await readFile(join(folder, 'cert.pem'));
      const { backend } = await trial.connect(redis({ host: 'localhost', port, tls: { ca } }));
      await granted(backend, trial.claim());
    } finally {
      await trial.close();
    }
  });

  it('says in a sentence that the server does not speak it', async () => {
    const trial = await RedisTrial.open();
    try {
      const { message } = await failureOf(trial.connect(redis(`rediss://127.0.0.1:${trial.server.port}`)));
      expect(message).toContain(
        'it does not seem to speak TLS on this port: give a redis:// address, without `tls` (',
      );
    } finally {
      await trial.close();
    }
  });

  /** Any that is free; the server opens it while it runs. */
  async function freeTlsPort(trial: RedisTrial): Promise<[number]> {
    for (let port = trial.server.port + 1; ; port++) {
      const opened = await trial.admin.config('SET', 'tls-port', String(port)).catch(() => undefined);
      if (opened === 'OK') return [port];
    }
  }
});

function failed(error: unknown): { message: string; certainty: unknown } {
  const { message, certainty } = error as { message: string; certainty: unknown };
  return { message, certainty };
}
