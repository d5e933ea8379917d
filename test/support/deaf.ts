import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { changed } from './rig.js';

/** A backend that never hints. */
export function deaf(inner: LockBackend): LockBackend {
  const mute = <T extends object>(answer: T): T => {
    if (!('onHint' in answer) || !('retry' in answer)) return answer;
    const retry = answer.retry as () => Promise<object>;
    return { ...answer, onHint: () => undefined, retry: async () => mute(await retry()) };
  };
  return changed(inner, {
    claim: async (claim: Parameters<LockBackend['claim']>[0]) => mute(await inner.claim(claim)),
  });
}
