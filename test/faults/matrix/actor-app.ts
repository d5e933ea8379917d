/**
 * A contender: an application with locks, as a process of its own, that does what it is told over its standard input
 * and tells what it does over its standard output. It ends with its input.
 *
 *     node --import ./scripts/ts.mjs test/faults/matrix/actor-app.ts '<plan as JSON>'
 */
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { leaderKeyOf, RESULT, type ActorPlan, type Contestant, type HeldLock } from './contestant.js';
import { readLines, writeLine } from './json-lines.js';
import { nowMs } from './monotonic.js';
import { plant } from './mutants.js';
import { ResourceClient } from './resource.js';

/** What an actor can be told to do with locks. `id` names the attempt, and the lock that comes of it. */
export type Command =
  | {
      readonly do: 'acquire';
      readonly id: string;
      readonly key: string;
      readonly ttlMs: number;
      readonly waitMs: number;
      readonly service?: string;
      /** Once it is granted: write, and release. */
      readonly turn?: boolean;
      /** It is the leadership of a group that is wanted. */
      readonly leads?: boolean;
    }
  | { readonly do: 'abort' | 'check' | 'read' | 'commit' | 'write' | 'release'; readonly id: string }
  /** Occupies the event loop, and looks whether the lock is still held before anything else can happen. */
  | { readonly do: 'block'; readonly id: string; readonly ms: number }
  /** Works so long under a lock, and answers with what came of it. */
  | { readonly do: 'guard'; readonly key: string; readonly ttlMs: number; readonly ms: number }
  | { readonly do: 'leap'; readonly ms: number }
  | { readonly do: 'inspect'; readonly key: string }
  | { readonly do: 'count' | 'close' | 'forget' };

/** What happened. Times are of the monotonic clock of the machine. */
export type Line =
  | { readonly log: 'ready' }
  | { readonly log: 'answer'; readonly to: number; readonly value: unknown }
  | { readonly log: 'calling'; readonly id: string; readonly key: string; readonly atMs: number }
  | {
      readonly log: 'granted';
      readonly id: string;
      readonly key: string;
      readonly fence: string | undefined;
      readonly invMs: number;
      readonly retMs: number;
      readonly ttlMs: number;
      readonly waitMs: number;
    }
  | {
      readonly log: 'refused';
      readonly id: string;
      readonly key: string;
      readonly error: string;
      readonly message: string;
      readonly invMs: number;
      readonly retMs: number;
      readonly waitMs: number;
    }
  | {
      readonly log: 'proof';
      readonly key: string;
      readonly fence: string;
      readonly sentMs: number;
      readonly heardMs: number;
      readonly ttlMs: number;
    }
  | { readonly log: 'lost'; readonly id: string; readonly atMs: number; readonly reason: string }
  | { readonly log: 'checked'; readonly id: string; readonly atMs: number; readonly held: boolean }
  | {
      readonly log: 'wrote';
      readonly id: string;
      readonly key: string;
      readonly atMs: number;
      readonly accepted: boolean;
    }
  | { readonly log: 'releasing'; readonly id: string; readonly atMs: number }
  | {
      readonly log: 'released';
      readonly id: string;
      readonly invMs: number;
      readonly retMs: number;
      /** An error's name, when it was rejected. */
      readonly answer: boolean | string;
    }
  /** A command that could not be carried out is answered with null, and this. */
  | { readonly log: 'unhandled' | 'warning' | 'failed'; readonly text: string };

interface Held {
  readonly key: string;
  readonly lock: HeldLock;
  value: number;
}

const plan = JSON.parse(process.argv[2] ?? '') as ActorPlan;
let isReady = false;
const attempts = new Map<string, AbortController>();
const locks = new Map<string, Held>();

// writes to a pipe are synchronous, so what was told is known also of an actor that is killed right after
const tell = (line: Line): void => writeLine(process.stdout, line);
for (const event of ['unhandledRejection', 'uncaughtException'] as const)
  process.on(event, (reason: unknown) => {
    const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
    // a client says which command it was
    const { command } = reason as { command?: object };
    tell({ log: 'unhandled', text: `${event}: ${text} ${JSON.stringify(command ?? '')}` });
    if (!isReady) process.exit(1);
  });

// before anything is loaded that looks at the time of day
const realNow = Date.now.bind(Date);
let leapMs = 0;
Date.now = () => realNow() + leapMs;

const resource = await ResourceClient.to(plan.resourcePort);
const contestant = await open();

async function open(): Promise<Contestant> {
  if (plan.library !== 'interlock') {
    const { openIncumbent } = await import('../../../bench/incumbents.js');
    return openIncumbent(plan);
  }
  if (plan.mutant !== undefined) plant(plan.mutant);
  const { Interlock } = await import('./interlock.js');
  return Interlock.start(
    plan,
    (text) => tell({ log: 'warning', text: String(text) }),
    ({ key, fence, sentAtMs, heardAtMs, ttlMs }) =>
      tell({
        log: 'proof',
        key: key.replace(leaderKeyOf(''), ''),
        fence: String(fence),
        sentMs: sentAtMs,
        heardMs: heardAtMs,
        ttlMs,
      }),
  );
}

async function acquire(command: Extract<Command, { do: 'acquire' }>): Promise<boolean> {
  const { id, key, ttlMs, waitMs, service } = command;
  const controller = new AbortController();
  attempts.set(id, controller);
  const invMs = nowMs();
  tell({ log: 'calling', id, key, atMs: invMs });
  try {
    const { signal } = controller;
    const lock = await (command.leads && contestant.lead
      ? contestant.lead({ key, signal })
      : contestant.acquire({ key, ttlMs, waitMs, signal, service }));
    const fence = lock.fence === undefined ? undefined : String(lock.fence);
    tell({ log: 'granted', id, key, fence, invMs, retMs: nowMs(), ttlMs, waitMs });
    locks.set(id, { key, lock, value: NaN });
    lock.onLost((reason) => tell({ log: 'lost', id, atMs: nowMs(), reason }));
  } catch (thrown) {
    const { name, message } = thrown instanceof Error ? thrown : new Error(String(thrown));
    tell({ log: 'refused', id, key, error: name, message, invMs, retMs: nowMs(), waitMs });
    return false;
  }
  if (command.turn) {
    await write(id);
    await release(id);
  }
  return true;
}

function held(id: string): Held {
  const found = locks.get(id);
  if (!found) throw new Error(`${plan.name} has no lock ${id}`);
  return found;
}

function check(id: string): boolean {
  const isHeld = held(id).lock.isHeld();
  tell({ log: 'checked', id, atMs: nowMs(), held: isHeld });
  return isHeld;
}

async function read(id: string): Promise<boolean> {
  const { key, lock } = held(id);
  const { accepted, value } = await resource.ask({ do: 'read', key, fence: fenceOf(lock) });
  if (accepted) held(id).value = value;
  return accepted;
}

async function commit(id: string): Promise<boolean> {
  const { key, lock, value } = held(id);
  const request = { do: 'write', key, fence: fenceOf(lock), value: value + 1 } as const;
  const { accepted } = await resource.ask(request);
  tell({ log: 'wrote', id, key, atMs: nowMs(), accepted });
  return accepted;
}

async function write(id: string): Promise<boolean> {
  if (!check(id) || !(await read(id))) return false;
  return check(id) && commit(id);
}

function fenceOf({ fence }: HeldLock): string | null {
  return fence === undefined ? null : String(fence);
}

async function release(id: string): Promise<boolean | string> {
  const { lock } = held(id);
  const invMs = nowMs();
  tell({ log: 'releasing', id, atMs: invMs });
  const answer = await lock.release().catch((error: unknown) => (error as Error).name);
  tell({ log: 'released', id, invMs, retMs: nowMs(), answer });
  return answer;
}

async function guard({ key, ttlMs, ms }: Extract<Command, { do: 'guard' }>): Promise<unknown> {
  const work = async (): Promise<string> => {
    await sleep(ms);
    return RESULT;
  };
  return contestant.guard?.({ key, ttlMs, waitMs: 5_000 }, work).catch(String);
}

function block(id: string, ms: number): boolean {
  const endMs = nowMs() + ms;
  while (nowMs() < endMs);
  return check(id);
}

function count(): Readonly<Record<string, number>> {
  const resources = process.getActiveResourcesInfo();
  const kindsOf = (pattern: RegExp): number => resources.filter((kind) => pattern.test(kind)).length;
  return { ...contestant.gauges(), timers: kindsOf(/^Timeout$/), sockets: kindsOf(/^TCPSocketWrap$/) };
}

async function carryOut(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'acquire':
      return acquire(command);
    case 'abort':
      return attempts.get(command.id)?.abort(new Error('aborted by its caller'));
    case 'check':
      return check(command.id);
    case 'read':
      return read(command.id);
    case 'commit':
      return commit(command.id);
    case 'write':
      return write(command.id);
    case 'release':
      return release(command.id);
    case 'block':
      return block(command.id, command.ms);
    case 'guard':
      return guard(command);
    case 'leap':
      leapMs += command.ms;
      return undefined;
    case 'inspect':
      return contestant.inspect?.(command.key);
    case 'count':
      return count();
    case 'forget':
      attempts.clear();
      locks.clear();
      return undefined;
    case 'close':
      return contestant.close();
  }
}

isReady = true;
tell({ log: 'ready' });
readLines<{ readonly to: number; readonly command: Command }>(process.stdin, ({ to, command }) => {
  void carryOut(command)
    .catch((error: unknown) => tell({ log: 'failed', text: String(error) }))
    .then((value) => tell({ log: 'answer', to, value: value ?? null }));
});
process.stdin.on('close', () => process.exit());
