import type { Busy, HolderSnapshot, LockMode, LockSnapshot } from '../lock-backend.js';

/** How the scripts answer, as the client hands it over: integers as numbers, or as strings when it was told to. */
type Fact = string | number;

const MODES = new Map<string, LockMode>([
  ['e', 'exclusive'],
  ['s', 'shared'],
  ['p', 'permits'],
]);

const STATES = new Map<string, 'lingering' | 'delayed'>([
  ['l', 'lingering'],
  ['d', 'delayed'],
]);

const FACTS_PER_HOLDER = 6;

/** `claim` answered { holder or '', expires in ms, ahead, alive until }. */
export function readBusy([holder, expiresInMs, ahead]: readonly Fact[]): Busy {
  const when = { expiresInMs: Math.max(0, Number(expiresInMs)), ahead: Number(ahead) };
  return holder ? { holder: String(holder), ...when } : when;
}

/** `inspect` answered { waiting, kind of the first who waits or '', mode of the holders or '', holder, … }. */
export function readSnapshot(key: string, facts: readonly Fact[]): LockSnapshot | null {
  const [waiting, kind, mode, ...rest] = facts;
  const holders: HolderSnapshot[] = [];
  let of = Infinity;
  for (let at = 0; at < rest.length; at += FACTS_PER_HOLDER) {
    const [owner, take, ofThis, fence, expiresInMs, what] = rest.slice(at, at + FACTS_PER_HOLDER);
    of = Math.min(of, Number(ofThis));
    const state = STATES.get(String(what));
    holders.push({
      owner: String(owner),
      take: Number(take),
      fence: BigInt(fence ?? 0),
      expiresInMs: Number(expiresInMs),
      ...(state && { state }),
    });
  }
  if (holders.length > 0) {
    return { key, mode: modeOf(mode), of, holders, waiting: Number(waiting) };
  }
  if (Number(waiting) === 0) return null;
  const [first, , firstOf] = String(kind).split(',');
  return {
    key,
    mode: modeOf(first),
    of: Number(firstOf ?? (first === 'e' ? 1 : 0)),
    holders,
    waiting: Number(waiting),
  };
}

function modeOf(letter: Fact | undefined): LockMode {
  return MODES.get(String(letter)) ?? 'exclusive';
}
