/** What a replica did. */
export type Happening =
  | { readonly what: 'elected' | 'deposed'; readonly term: string; readonly atMs: number }
  | {
      readonly what: 'ran';
      readonly job: Job;
      /** The second for which it ran. */
      readonly tick: number;
      /** Those who may not be two at a time have a number that rises: a term, or the fence of a shard. */
      readonly shards: readonly { readonly index: number; readonly fence: string }[];
      readonly atMs: number;
    };

export type Job = 'leader-only' | 'locked' | 'once-per-tick' | 'sharded';

/** Where replicas tell what they do. */
export abstract class Diary {
  abstract write(happening: Happening): void;
}

/** One clock for all processes of this machine. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
