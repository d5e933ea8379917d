import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { JobReplica, nowMs, type Happening } from '../support/job-replica.js';
import { RedisServer } from '../support/redis-server.js';
import { until } from '../support/redis-trial.js';

/** `INTERLOCK_ROUNDS=20 npm test -- processes` for the long run. */
const ROUNDS = Number(process.env['INTERLOCK_ROUNDS'] ?? 1);
const TICKS = Math.max(6, ROUNDS * 3);
const LIMIT_MS = 60_000 + ROUNDS * 20_000;
const TTL_MS = 2_000;
const RETRY_MS = 267;

let server: RedisServer;
let diary: Happening[] = [];
let replicas: JobReplica[] = [];
let runs = 0;

beforeAll(async () => {
  server = await RedisServer.start();
});
beforeEach(() => {
  diary = [];
  replicas = [];
  runs++;
});
afterEach(async () => {
  await Promise.all(replicas.map((replica) => replica.kill()));
});
afterAll(() => server.stop());

async function start(name: string, skewMs = 0): Promise<JobReplica> {
  const replica = await JobReplica.start(server.port, `run-${runs}`, name, skewMs, diary);
  replicas.push(replica);
  return replica;
}

const elections = (): Happening[] => diary.filter(({ what }) => what === 'elected');

async function leader(): Promise<JobReplica> {
  await until(() => replicas.some((replica) => isLeading(replica)), 'somebody leads', 10_000);
  return replicas.find((replica) => isLeading(replica)) as JobReplica;
}

function isLeading({ name }: JobReplica): boolean {
  const last = diary.findLast(({ replica, what }) => replica === name && ['elected', 'over'].includes(what));
  return last?.what === 'elected';
}

/** Nobody believes to lead before all earlier ones have ceased to; `ends` has the ends of those who could not say so. */
function expectOneAtATime(ends: ReadonlyMap<string, number>): void {
  const terms = elections().map(({ of }) => BigInt(of));
  expect(terms).toEqual([...terms].sort((a, b) => (a < b ? -1 : 1)));
  expect(new Set(terms).size).toBe(terms.length);
  elections().forEach(({ of: term, atMs }, index) => {
    const over = diary.find(({ what, of }) => what === 'over' && of === term)?.atMs ?? ends.get(term);
    const next = elections()[index + 1];
    if (next)
      expect({ term, overlapMs: Math.max(0, (over ?? Infinity) - next.atMs) }).toEqual({
        term,
        overlapMs: 0,
      });
    expect(over ?? Infinity).toBeGreaterThan(atMs);
  });
}

describe('replicas as processes on one Redis', () => {
  it(
    '[51, 52] have one leader after the other: killed, resigned, cut off',
    async () => {
      for (const name of ['a', 'b', 'c']) await start(name);
      const ends = new Map<string, number>();
      const takeovers: { readonly why: string; readonly ms: number }[] = [];
      const next = async (why: string, fromMs: number, count: number): Promise<void> => {
        await until(() => elections().length > count, `the next one leads (${why})`, 10_000);
        takeovers.push({ why, ms: (elections()[count]?.atMs ?? NaN) - fromMs });
      };
      for (let round = 0; round < ROUNDS; round++) {
        const resigning = await leader();
        const count = elections().length;
        const fromMs = nowMs();
        resigning.resign();
        await next('resigned', fromMs, count);
        await sleep(3 * RETRY_MS);

        const killed = await leader();
        const before = elections().length;
        replicas = replicas.filter((replica) => replica !== killed);
        const killedMs = nowMs();
        ends.set(elections().at(-1)?.of ?? '', killedMs);
        const dead = killed.kill();
        await next('killed', killedMs, before);
        await dead;
        await start(`again-${round}`);

        const lonely = await leader();
        const sofar = elections().length;
        const cutMs = nowMs();
        lonely.cut();
        await next('cut off', cutMs, sofar);
        lonely.heal();
        await sleep(2 * RETRY_MS);
      }
      const last = elections().at(-1)?.of ?? '';
      ends.set(last, Infinity);
      expectOneAtATime(ends);
      if (ROUNDS > 1) console.log(takeovers.map(({ why, ms }) => `${why} ${ms.toFixed(1)}`).join(', '));
      for (const { why, ms } of takeovers) {
        const limitMs = why === 'resigned' ? 500 : TTL_MS + RETRY_MS + 500;
        expect({ why, inTime: ms <= limitMs }).toEqual({ why, inTime: true });
      }
      // each end is told once, before the next one begins
      for (const { of: term, replica } of diary.filter(({ what }) => what === 'over')) {
        await until(
          () => diary.some(({ what, of }) => what === 'deposed' && of === term),
          `${replica} was told`,
        );
        expect(diary.filter(({ what, of }) => what === 'deposed' && of === term)).toHaveLength(1);
      }
      const handover = await leader();
      const count = elections().length;
      const fromMs = nowMs();
      expect(await handover.stop()).toBe(0);
      await until(() => elections().length > count, 'the next one leads after a shutdown');
      expect((elections()[count]?.atMs ?? NaN) - fromMs).toBeLessThan(1_500);
    },
    LIMIT_MS,
  );

  it(
    '[54] run each tick once, with clocks that are up to 10 s apart',
    async () => {
      const skews = [-5_000, -1_700, 2_300, 5_000];
      await Promise.all(skews.map((skewMs, index) => start(`skewed-${index}`, skewMs)));
      const runsOf = (): string[] => diary.flatMap(({ what, of }) => (what === 'ran' ? [of] : []));
      // from here on all of them run
      const first = Math.floor(Date.now() / 1_000) + 6;
      const ticks = Array.from({ length: TICKS }, (_, index) =>
        new Date((first + index) * 1_000).toISOString().replace('.000', ''),
      );
      const keys = ticks.map((tick) => `tick:Jobs.tick:${tick}`);
      const last = keys.at(-1) ?? '';
      await until(() => runsOf().includes(last), 'the last tick', 20_000 + TICKS * 1_000);
      // those behind come to it 10 s later
      await sleep(11_000);
      const counts = keys.map((key) => runsOf().filter((run) => run === key).length);
      expect(counts).toEqual(keys.map(() => 1));
      expect(new Set(runsOf()).size).toBe(runsOf().length);
    },
    LIMIT_MS,
  );

  it(
    '[54] never run a tick twice, though one after another is killed',
    async () => {
      for (let index = 0; index < 3; index++) await start(`mortal-${index}`, index * 2_000 - 2_000);
      for (let round = 0; round < ROUNDS; round++) {
        await sleep(3_000);
        const victim = replicas.shift();
        await victim?.kill();
        await start(`reborn-${round}`, (round % 3) * 2_000 - 2_000);
      }
      await sleep(5_000);
      const ran = diary.flatMap(({ what, of }) => (what === 'ran' ? [of] : []));
      expect(ran.length).toBeGreaterThan(ROUNDS * 3);
      expect(new Set(ran).size).toBe(ran.length);
    },
    LIMIT_MS,
  );
});
