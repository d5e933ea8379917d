import { Random } from './random.js';
import type { Weather } from './wire.js';

/** What goes wrong in a world, apart from its weather; how many times each. */
export interface Troubles {
  readonly freezes: number;
  readonly suspensions: number;
  readonly leaps: number;
  readonly cuts: number;
  readonly breaks: number;
  readonly serverFreezes: number;
  readonly restarts: number;
  readonly wipes: number;
  readonly evictions: number;
  readonly kills: number;
  readonly stops: number;
}

/** All that is decided beforehand about one world. */
export interface Plan {
  readonly seed: number;
  /** The plain server of the simulator, or the library's own memory server at the end of a wire. */
  readonly server: 'plain' | 'memory';
  readonly processes: number;
  readonly callers: number;
  readonly keys: readonly [string, ...string[]];
  /** Whether keys are shared and counted too. */
  readonly allModes: boolean;
  readonly pollMs: number;
  /** Whether the server gives a lock to the head of the line when it is released, and says so with the hint. */
  readonly handsOver: boolean;
  /** Whether those of a process who wait show life in one call. */
  readonly staysTogether: boolean;
  readonly callTimeoutMs: number;
  readonly forMs: number;
  /** From then on nothing goes wrong any more; 0: nothing ever does. */
  readonly calmAtMs: number;
  readonly weather: Weather;
  readonly troubles: Troubles;
  readonly observed: boolean;
}

const NO_TROUBLES: Troubles = {
  freezes: 0,
  suspensions: 0,
  leaps: 0,
  cuts: 0,
  breaks: 0,
  serverFreezes: 0,
  restarts: 0,
  wipes: 0,
  evictions: 0,
  kills: 0,
  stops: 0,
};

export function planOf(seed: number): Plan {
  const random = new Random(seed);
  // neighbouring seeds begin alike
  for (let skipped = 0; skipped < 4; skipped++) random.next();
  const isRough = random.chance(0.65);
  const server = random.chance(0.75) ? 'plain' : 'memory';
  const forMs = isRough ? random.whole(300, 1_200) : random.whole(200, 700);
  const hasCalm = isRough && random.chance(0.12);
  return {
    seed,
    server,
    processes: random.whole(2, 4),
    callers: random.whole(1, 3),
    keys: random.pick([['a'], ['a'], ['a', 'b']]),
    allModes: random.chance(0.25),
    pollMs: server === 'memory' ? 300 : random.pick([40, 100, 300]),
    callTimeoutMs: random.pick([60, 120, 200]),
    forMs: hasCalm ? forMs + 2_200 : forMs,
    calmAtMs: isRough ? Math.round(forMs * 0.8) : 0,
    weather: weatherOf(random, isRough),
    troubles: isRough ? troublesOf(random, server) : NO_TROUBLES,
    observed: isRough || random.chance(0.5),
    handsOver: random.chance(0.6),
    staysTogether: random.chance(0.5),
  };
}

/** The weather when nothing goes wrong any more. */
export function fair(weather: Weather): Weather {
  return {
    ...weather,
    lostRequests: 0,
    lostReplies: 0,
    strays: 0,
    refusals: 0,
    stopsAtSend: 0,
  };
}

function weatherOf(random: Random, isRough: boolean): Weather {
  const now = (probability: number, least: number, most: number): number =>
    isRough && random.chance(probability) ? random.between(least, most) : 0;
  const leastMs = random.between(0.05, 2);
  return {
    leastMs,
    mostMs: leastMs + random.pick([0.1, 3, 15]),
    lostRequests: now(0.4, 0.02, 0.1),
    lostReplies: now(0.4, 0.02, 0.1),
    strays: now(0.4, 0.02, 0.08),
    strayMs: random.pick([100, 500, 1_500]),
    connections: random.pick([1, 1, 2]),
    refusals: now(0.3, 0.02, 0.15),
    lostHints: random.chance(0.15) ? random.pick([0.3, 1]) : 0,
    lateHints: random.chance(0.15) ? random.pick([0.2, 0.6]) : 0,
    needlessHints: random.chance(0.15) ? 0.2 : 0,
    stopsAtSend: now(0.2, 0.005, 0.02),
  };
}

function troublesOf(random: Random, server: Plan['server']): Troubles {
  const some = (probability: number, most: number): number =>
    random.chance(probability) ? random.whole(1, most) : 0;
  return {
    freezes: some(0.3, 4),
    suspensions: some(0.15, 2),
    leaps: some(0.2, 3),
    cuts: some(0.25, 3),
    breaks: some(0.25, 3),
    serverFreezes: some(0.15, 2),
    restarts: some(0.15, 2),
    wipes: server === 'plain' ? some(0.08, 1) : 0,
    evictions: some(0.12, 3),
    kills: some(0.15, 1),
    stops: some(0.1, 1),
  };
}
