import { errorMessage } from '../core/errors.js';
import type { Locks } from '../core/locks.js';
import { systemClock } from '../core/clock.js';
import { msText, type Console } from './console.js';

const WAIT_MS = 5_000;

interface Finding {
  readonly check: string;
  readonly result: 'well' | 'warning' | 'wrong';
  readonly says: string;
  readonly ms?: number;
}

const SIGNS = { well: '✔', warning: '!', wrong: '✘' } as const;

/** Does everything once that an application needs of its lock server, and says what came of it. */
export async function doctor(locks: Locks, console: Console): Promise<number> {
  const findings: Finding[] = [];
  const find = (finding: Finding): void => {
    findings.push(finding);
    if (!console.json) console.say(finding, () => `${SIGNS[finding.result]} ${finding.says}`);
  };
  const started = await examine('start', find, async () => {
    const reports: string[] = [];
    const listening = locks.events$.subscribe((event) => {
      if (event.type === 'backend-error') reports.push(event.error.message);
    });
    await locks.start();
    listening.unsubscribe();
    for (const says of reports) find({ check: 'start', result: 'warning', says });
    return `connected to ${locks.about.backend}`;
  });
  if (started) {
    await askServers(locks, find);
    await examine('lock', find, () => takeOne(locks));
    await examine('hand-off', find, () => handOn(locks));
  }
  const isWell = findings.every(({ result }) => result !== 'wrong');
  if (console.json) console.say({ well: isWell, findings }, () => '');
  return isWell ? 0 : 1;
}

async function examine(
  check: string,
  find: (finding: Finding) => void,
  work: () => Promise<string>,
): Promise<boolean> {
  const startMs = systemClock.now();
  try {
    const says = await work();
    const ms = systemClock.now() - startMs;
    find({ check, result: 'well', says: `${says} (${msText(ms)})`, ms });
    return true;
  } catch (error) {
    find({ check, result: 'wrong', says: errorMessage(error) });
    return false;
  }
}

async function askServers(locks: Locks, find: (finding: Finding) => void): Promise<void> {
  const health = await locks.health({ timeout: '2s' });
  for (const { node, role, state, latencyMs, version, spare, error } of health.nodes) {
    const what = [node, role, version].filter(Boolean).join('  ');
    if (state === 'up') {
      const took = latencyMs === undefined ? '' : ` (${msText(latencyMs)})`;
      find({
        check: 'servers',
        result: 'well',
        says: what + took,
        ...(latencyMs !== undefined && { ms: latencyMs }),
      });
    } else {
      const result = spare || health.status === 'degraded' ? 'warning' : 'wrong';
      find({ check: 'servers', result, says: `${what}  is down: ${error ?? 'it did not say why'}` });
    }
  }
  if (health.nodes.length === 0)
    find({ check: 'servers', result: 'wrong', says: health.error ?? 'no server' });
}

async function takeOne(locks: Locks): Promise<string> {
  const lease = await locks.acquire(`doctor:${process.pid}`, { wait: 0, ttl: '10s' });
  const wasHeld = await lease.release();
  if (!wasHeld) throw new Error('A lock was granted, and was not ours when it was given back.');
  return `took a lock and gave it back, fence ${lease.fence}`;
}

/** Somebody who waits has to be woken, and not only find out by asking again. */
async function handOn(locks: Locks): Promise<string> {
  const key = `doctor:${process.pid}:hand-off`;
  const first = await locks.acquire(key, { wait: 0, ttl: '10s' });
  const waiting = new Promise<void>((resolve) => {
    const listening = locks.events$.subscribe(({ type }) => {
      if (type !== 'waiting') return;
      listening.unsubscribe();
      resolve();
    });
  });
  const second = locks.acquire(key, { wait: WAIT_MS, ttl: '10s' });
  await Promise.race([waiting, second]);
  const releasedAtMs = systemClock.now();
  await first.release();
  const lease = await second;
  const tookMs = systemClock.now() - releasedAtMs;
  await lease.release();
  if (lease.fence <= first.fence) throw new Error(`The fence fell from ${first.fence} to ${lease.fence}.`);
  return `handed a lock on to one who waited, ${msText(tookMs)} after its release`;
}
