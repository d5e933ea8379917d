import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { runCommandLine } from '../../lib/cli/run.js';
import type { Duration } from '../../lib/core/duration.js';
import { Locks } from '../../lib/core/locks.js';
import { CompiledLibrary } from '../support/compiled-library.js';
import { MariadbServer } from '../support/mariadb-server.js';
import { PostgresServer } from '../support/postgres-server.js';
import { RedisClusterWorld } from '../support/redis-cluster.js';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis-server.js';
import { until } from '../support/until.js';

const root = join(import.meta.dirname, '../..');

let library: CompiledLibrary;
beforeAll(async () => {
  library = await CompiledLibrary.make();
}, 60_000);
afterAll(() => library[Symbol.asyncDispose]());

interface Run {
  readonly code: number | null;
  readonly output: string;
  readonly notes: string;
}

interface Settings {
  readonly input?: string;
  readonly environment?: Record<string, string>;
}

/** The command line as a process of its own, that may go on for long. */
class Running {
  heard = '';
  readonly end: Promise<Run>;
  private readonly child: ChildProcessWithoutNullStreams;

  constructor(args: readonly string[], { input, environment }: Settings = {}) {
    const command = [library.pathOf('lib/cli/main'), ...args];
    const child = spawn(process.execPath, command, { cwd: root, env: { ...process.env, ...environment } });
    this.child = child;
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.stdout.on('data', (bytes: Buffer) => (this.heard += bytes.toString()));
    this.end = Promise.all([text(child.stderr), once(child, 'close')]).then(([notes]) => ({
      code: child.exitCode,
      output: this.heard,
      notes,
    }));
  }

  /** Waits until it has said something. */
  says(what: string): Promise<void> {
    return until(() => this.heard.includes(what), `it says ${what}`, 30_000);
  }

  interrupt(): void {
    this.child.kill('SIGINT');
  }
}

function run(args: readonly string[], settings?: Settings): Promise<Run> {
  return new Running(args, settings).end;
}

/** The same inside of this process, which takes a tenth of the time. */
async function runHere(
  args: readonly string[],
  { input = '', environment = {} }: Settings = {},
): Promise<Run> {
  const [output, notes] = [new PassThrough(), new PassThrough()];
  const code = await runCommandLine(args, { input: Readable.from([input]), output, notes, environment });
  output.end();
  notes.end();
  return { code, output: await text(output), notes: await text(notes) };
}

interface World {
  readonly url: string;
  readonly backend: () => LockBackend;
  stop(): Promise<void>;
}

const worlds: [string, () => Promise<World>][] = [
  [
    'redis',
    async () => {
      const server = await RedisServer.start();
      return { url: server.url, backend: () => redis(server.url), stop: () => server.stop() };
    },
  ],
  [
    'redis+sentinel',
    async () => {
      const world = await RedisSentinelWorld.start();
      const { sentinels, name } = world;
      const hosts = sentinels.map(({ host, port }) => `${host}:${port}`).join(',');
      return {
        url: `redis+sentinel://${hosts}/${name}`,
        backend: () => redis({ sentinels, name }),
        stop: () => world.stop(),
      };
    },
  ],
  [
    'redis+cluster',
    async () => {
      const world = await RedisClusterWorld.start();
      const hosts = world.nodes.slice(0, 2).map(({ host, port }) => `${host}:${port}`);
      return {
        url: `redis+cluster://${hosts.join(',')}`,
        backend: () => redis({ cluster: world.nodes }),
        stop: () => world.stop(),
      };
    },
  ],
  [
    'postgres',
    async () => {
      const server = await PostgresServer.start();
      return { url: server.url, backend: () => postgres(server.url), stop: () => server.stop() };
    },
  ],
  [
    'mysql',
    async () => {
      const server = await MariadbServer.start();
      return { url: server.url, backend: () => mysql(server.url), stop: () => server.stop() };
    },
  ],
];

/** They start side by side; each is waited for where it is needed. */
const opened = new Map<string, Promise<World>>();
beforeAll(() => {
  for (const [name, open] of worlds) {
    const opening = open();
    opening.catch(() => undefined);
    opened.set(name, opening);
  }
});
afterAll(async () => {
  await Promise.all([...opened.values()].map(async (world) => (await world).stop()));
}, 60_000);

async function worldOf(name: string): Promise<World> {
  const world = await opened.get(name);
  if (!world) throw new Error(`no world has the name ${name}`);
  return world;
}

describe.each(worlds)('the command line on %s', (name) => {
  let world: World;
  let holder: Locks;
  let waiter: Locks;

  beforeAll(async () => {
    world = await worldOf(name);
  }, 60_000);

  /** `seat:12` is held by web-1 and wanted by web-2; of `report:today`, two permits of three are taken. */
  const occupy = async (ttl: Duration = '30s'): Promise<void> => {
    holder = new Locks(world.backend(), { identity: 'web-1', prefix: 'shop', ttl });
    waiter = new Locks(world.backend(), { identity: 'web-2', prefix: 'shop' });
    await holder.acquire('seat:12');
    await holder.acquire('report:today', { permits: 3, take: 2 });
    void waiter.acquire('seat:12', { wait: '1m' }).catch(() => undefined);
    await until(async () => (await holder.inspect('seat:12'))?.waiting === 1, 'web-2 waits');
  };
  afterEach(async () => {
    await waiter?.stop();
    await holder?.stop();
  });

  const ownerOf = async (key: string): Promise<string | undefined> =>
    (await holder.inspect(key))?.holders[0]?.owner;

  const complete = (args: string): string[] => [...args.split(' '), '--url', world.url, '--prefix', 'shop'];
  const start = (args: string, settings?: Settings): Running => new Running(complete(args), settings);
  const call = (args: string, settings?: Settings): Promise<Run> => runHere(complete(args), settings);

  it('lists what is held, for people and for programs', async () => {
    await occupy();
    const [people, programs, some, none] = await Promise.all(
      ['ls', 'ls --json', 'ls seat: --json', 'ls nothing'].map((args) => call(args)),
    );
    expect(people).toMatchObject({ code: 0, notes: '' });
    expect(people!.output.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['KEY', 'MODE', 'HELD BY', 'FENCE', 'EXPIRES IN', 'WAITING'],
      ['report:today', '2 of 3 permits', 'web-1', expect.stringMatching(/^\d+$/), expect.any(String), '0'],
      ['seat:12', 'exclusive', 'web-1', expect.stringMatching(/^\d+$/), expect.stringMatching(/ s$/), '1'],
      [''],
    ]);
    expect(JSON.parse(programs!.output)).toEqual([
      expect.objectContaining({ key: 'report:today', mode: 'permits', of: 3, waiting: 0 }),
      expect.objectContaining({
        key: 'seat:12',
        mode: 'exclusive',
        holders: [expect.objectContaining({ fence: expect.stringMatching(/^\d+$/) })],
        waiting: 1,
      }),
    ]);
    expect(JSON.parse(some!.output)).toHaveLength(1);
    expect(none).toMatchObject({ code: 0, output: 'Nothing is held, and nobody waits.\n' });
  }, 60_000);

  it('shows a key, and says when nobody holds it', async () => {
    await occupy();
    const [people, programs, free] = await Promise.all(
      ['inspect seat:12', 'inspect seat:12 --json', 'inspect seat:13'].map((args) => call(args)),
    );
    expect(people!.output).toMatch(
      /^seat:12 {2}exclusive {2}1 waiting\nHELD BY.*\nweb-1 +held +1 +\d+ +\d+ s +web-1~/,
    );
    expect(JSON.parse(programs!.output)).toMatchObject({ key: 'seat:12', waiting: 1 });
    expect([people!.code, programs!.code, free]).toEqual([
      0,
      0,
      { code: 1, output: 'Nobody holds "seat:13", and nobody waits for it.\n', notes: '' },
    ]);
  }, 60_000);

  it('releases a key when somebody says yes, and only then; its holder is told', async () => {
    // whom no message tells finds out by a renewal
    await occupy('6s');
    const lost = new Promise((resolve) => {
      holder.events$.subscribe((event) => event.type === 'lost' && resolve(event.key));
    });
    const refusals = await Promise.all(
      ['n\n', '', 'yes please\n'].map((input) => call('release seat:12', { input })),
    );
    for (const { code, output, notes } of refusals) {
      expect([code, output]).toEqual([1, 'Nothing was released.\n']);
      expect(notes).toMatch(/web-1~.*\nTake it away\?.*\[y\/N\]/s);
    }
    expect(await ownerOf('seat:12')).toMatch(/^web-1~/);
    expect(await start('release seat:12', { input: 'y\n' }).end).toMatchObject({
      code: 0,
      output: '"seat:12" was released.\n',
    });
    expect(await call('release report:today --yes --json')).toEqual({
      code: 0,
      output: '{"key":"report:today","released":true}\n',
      notes: '',
    });
    expect(await call('release report:today --yes')).toMatchObject({ code: 1 });
    await until(async () => (await ownerOf('seat:12'))?.startsWith('web-2~') === true, 'web-2 has it');
    expect(await lost).toBe('seat:12');
  }, 60_000);

  it('examines the servers, takes locks and hands them on', async () => {
    holder = new Locks(world.backend(), { prefix: 'shop' });
    const people = await call('doctor');
    const programs = await call('doctor --json');
    expect(people).toMatchObject({ code: 0, notes: '' });
    expect(people.output).toMatch(/^✔ connected to \w+/m);
    expect(people.output).toMatch(/^✔ .*127\.0\.0\.1:\d+.* {2}primary {2}\d+/m);
    expect(people.output).toMatch(/^✔ took a lock and gave it back, fence \d+/m);
    expect(people.output).toMatch(/^✔ handed a lock on to one who waited/m);
    const { well, findings } = JSON.parse(programs.output) as {
      well: boolean;
      findings: { result: string }[];
    };
    expect(well).toBe(true);
    expect(findings.every(({ result }) => result === 'well')).toBe(true);
    await holder.start();
    for await (const { key } of holder.list()) expect(key).not.toMatch(/^doctor/);
  }, 60_000);

  it('watches what changes, until it is interrupted or its time is over', async () => {
    await occupy();
    const watching = start('watch seat: --json --interval 50ms');
    await watching.says('web-1');
    await holder.forceRelease('seat:12');
    await watching.says('web-2');
    await waiter.stop();
    await watching.says('"holders":[],"waiting":0');
    watching.interrupt();
    const { code, output } = await watching.end;
    const lines = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; holders: { by: string }[]; waiting: number });
    expect(code).toBe(0);
    expect(lines.every(({ key }) => key === 'seat:12')).toBe(true);
    const told = lines.map(({ holders, waiting }) => `${holders.map(({ by }) => by).join()} ${waiting}`);
    expect([told.at(0), told.at(-1)]).toEqual(['web-1 1', ' 0']);
    expect(told).toContain('web-2 0');
    expect(await call('watch report --for 10ms')).toMatchObject({
      code: 0,
      output: expect.stringMatching(
        /^[\d:.]+ {2}report:today {2}2 of 3 permits {2}held by web-1 \(fence \d+\)\n$/,
      ),
    });
  }, 60_000);
});

describe('the command line', () => {
  it.each<[string, RegExp]>([
    ['', /^Say what to do\./],
    ['steal k', /^There is no command "steal"; there are ls, inspect, release, watch, doctor, sql\./],
    ['inspect --url redis://localhost', /^inspect needs a KEY\./],
    ['inspect a b --url redis://localhost', /^inspect takes one KEY, not several\./],
    ['doctor k --url redis://localhost', /^doctor takes nothing but options\./],
    ['ls', /^Say where the locks are: --url redis:\/\/localhost:6379, or the variable INTERLOCK_URL\./],
    ['ls --url etcd://secret@localhost', /^No locks are at "etcd:"; there are redis, /],
    ['ls --url memory:', /^Locks in the memory of a process can be seen in that process alone\./],
    ['ls --url redis+sentinel://localhost:26379', /^Write what the Sentinels call the primary/],
    ['watch --interval soon --url redis://localhost', /^--interval is "soon"/],
    ['sql oracle', /^There is SQL for postgres.*, not for "oracle"\./],
  ])('explains what is wrong with %j', async (args, message) => {
    const { code, output, notes } = await runHere(args === '' ? [] : args.split(' '));
    expect(notes).toMatch(message);
    expect(notes).toContain('Try: nestjs-interlock --help');
    expect(notes).not.toContain('secret');
    expect([code, output]).toEqual([2, '']);
  });

  it('ends with the code for a wrong command line', async () => {
    const ended = await run(['ls', '--speed', '3']);
    expect(ended).toEqual({ code: 2, output: '', notes: expect.stringMatching(/^Unknown option '--speed'/) });
  });

  it('says in a sentence that there is no server, and that a prefix is none', async () => {
    const nobody = await run(['ls', '--url', 'redis://127.0.0.1:1']);
    expect(nobody).toMatchObject({ code: 1, output: '', notes: expect.stringMatching(/ECONNREFUSED/) });
    const prefix = await runHere(['ls', '--url', 'redis://127.0.0.1:1', '--prefix', 'a:b']);
    expect(prefix).toMatchObject({ code: 1, notes: expect.stringMatching(/^prefix is "a:b"/) });
    const ill = await runHere(['doctor', '--json', '--url', 'redis://127.0.0.1:1']);
    expect(ill.code).toBe(1);
    expect(JSON.parse(ill.output)).toMatchObject({
      well: false,
      findings: [{ check: 'start', result: 'wrong' }],
    });
  });

  it('prints the SQL of a database, without one', async () => {
    const { code, output } = await runHere(['sql', 'postgres']);
    expect(code).toBe(0);
    expect(output).toMatch(/^CREATE TABLE IF NOT EXISTS/);
  });

  it('looks as the docs show it', async () => {
    const { url, backend } = await worldOf('redis');
    const holder = new Locks(backend(), { identity: 'web-1' });
    const waiter = new Locks(backend(), { identity: 'web-2' });
    await holder.acquire('seat:12');
    await holder.acquire('report:today', { permits: 3, take: 2 });
    const waits = waiter.acquire('seat:12', { wait: '1m' }).catch(() => undefined);
    await until(async () => (await holder.inspect('seat:12'))?.waiting === 1, 'web-2 waits');
    let seen = '';
    for (const args of ['ls', 'inspect seat:12', 'doctor', 'watch --for 100ms', 'release seat:12 --yes']) {
      const { output, notes } = await run(args.split(' '), { environment: { INTERLOCK_URL: url } });
      seen += `$ npx nestjs-interlock ${args}\n${notes}${output}\n`;
    }
    await waits;
    await waiter.stop();
    await holder.stop();
    expect(withoutNumbers(shownInDocs(0))).toEqual(withoutNumbers(seen));
  }, 60_000);

  it('examines each backend as the docs show it', async () => {
    const others = worlds.map(([name]) => name).filter((name) => name !== 'redis');
    const seen = await Promise.all(
      others.map(async (name) => {
        const { url } = await worldOf(name);
        const { output, notes } = await run(['doctor', '--url', url]);
        return `$ npx nestjs-interlock doctor --url ${url}\n${notes}${output}\n`;
      }),
    );
    expect(withoutNumbers(shownInDocs(1))).toEqual(withoutNumbers(seen.join('')));
  }, 60_000);
});

/** The n-th of the transcripts. */
function shownInDocs(nth: number): string {
  const page = readFileSync(join(root, 'docs/observability.md'), 'utf8');
  return [...page.matchAll(/```console\n(.*?)```/gs)][nth]?.[1] ?? '';
}

/** Numbers, versions, owners and columns differ from run to run; lines of a watch come in no order. */
function withoutNumbers(transcript: string): string[] {
  return transcript
    .replace(/~[\w-]+/g, '~#')
    .replace(/(?<=  (primary|replica|sentinel)  )\S+/g, '#')
    .replace(/\d+([.:]\d+)*/g, '#')
    .replace(/# m?s/g, '#')
    .replace(/ +/g, ' ')
    .trim()
    .split('\n')
    .sort();
}
