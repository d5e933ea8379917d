import { durationMs, type Duration } from '../core/duration.js';
import { LockConfigurationError, show } from '../core/errors.js';
import { refuseUnknown } from '../core/options.js';

/** The options of `@OncePerTick`. */
export interface OncePerTickOptions {
  /** What all replicas call this job. Default: `Class.method`. */
  readonly job?: string;
  /**
   * How long it is remembered that a tick has been run. Half of it covers replicas whose timers lag: a run that is later
   * than that is left out. The other half covers clocks that are apart. 1 minute to 24 hours; default '10m'.
   */
  readonly keep?: Duration;
  /**
   * What becomes of a tick whose replica dies while it runs it. `skip` (default): it has had its run, so a tick is run at
   * most once. `retry`: another replica runs it again, so it is run at least once.
   */
  readonly onCrash?: 'skip' | 'retry';
  /** With `retry`: how long a replica that is not heard of is taken for running. Default '10s'. */
  readonly ttl?: Duration;
  /** After that, `currentLease().signal` aborts and `assertHeld()` throws. Default: never. */
  readonly atMost?: Duration;
  /** The `name` of the lock service to use. Default: the one without a name. */
  readonly locks?: string;
}

/** Options with everything said, and checked. */
export interface TickSettings {
  readonly job: string;
  readonly keepMs: number;
  /** A run that is later than this is left out. */
  readonly latestMs: number;
  readonly retries: boolean;
  readonly ttlMs: number;
  readonly atMostMs: number | undefined;
}

const NAMES: ReadonlySet<string> = new Set(['job', 'keep', 'onCrash', 'ttl', 'atMost', 'locks']);
const KEEP = { minMs: 60_000, maxMs: 86_400_000 };
const TTL = { minMs: 100, maxMs: 3_600_000 };
const AT_MOST = { minMs: 1, maxMs: 30 * 86_400_000 };

/** @throws LockConfigurationError that names the site */
export function tickSettings(options: OncePerTickOptions, site: string): TickSettings {
  refuseUnknown(`option of @OncePerTick on ${site}, though: option`, options, NAMES);
  const { job = site, keep = '10m', onCrash = 'skip', ttl = '10s', atMost } = options;
  if (typeof job !== 'string' || job === '' || job.length > 150) {
    throw new LockConfigurationError(`job of ${site} is ${show(job)}; give a text of 1 to 150 characters.`);
  }
  if (onCrash !== 'skip' && onCrash !== 'retry') {
    throw new LockConfigurationError(`onCrash of ${site} is ${show(onCrash)}; give 'skip' or 'retry'.`);
  }
  const retries = onCrash === 'retry';
  if (!retries && options.ttl !== undefined) {
    throw new LockConfigurationError(
      `ttl of ${site} has no meaning with onCrash: 'skip', where a claim lasts for keep; leave it out.`,
    );
  }
  const keepMs = durationMs(`keep of ${site}`, keep, KEEP);
  const ttlMs = retries ? durationMs(`ttl of ${site}`, ttl, TTL) : keepMs;
  if (retries && ttlMs * 4 > keepMs) {
    throw new LockConfigurationError(
      `ttl of ${site} (${ttlMs} ms) is longer than a quarter of keep (${keepMs} ms), so a run that has ended could be taken for one that goes on; shorten ttl, or lengthen keep.`,
    );
  }
  const atMostMs = atMost === undefined ? undefined : durationMs(`atMost of ${site}`, atMost, AT_MOST);
  return { job, keepMs, latestMs: keepMs / 2, retries, ttlMs, atMostMs };
}
