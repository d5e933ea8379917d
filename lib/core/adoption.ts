import type { RenewOutcome } from '../backends/lock-backend.js';
import { LockConfigurationError, LockLostError, LockUnavailableError } from './errors.js';
import type { HandlePart } from './handle.js';
import { canonicalKey } from './key.js';

/** @throws LockConfigurationError when a lock of a handle is from a service with another prefix */
export function assertSamePrefix(parts: readonly HandlePart[], prefix: string): void {
  for (const { grant, name } of parts) {
    if (grant.claim.key === canonicalKey(prefix, name)) continue;
    throw new LockConfigurationError(
      `The handle of "${name}" is from a service with another prefix; adopt it where the prefix is the same.`,
    );
  }
}

/**
 * @throws LockLostError when a lock of a handle is not its owner's any more
 * @throws LockUnavailableError when the server did not say so, nor that it is
 */
export function assertRenewed(parts: readonly HandlePart[], answers: readonly RenewOutcome[]): void {
  parts.forEach(({ name: key, grant: { fence } }, index) => {
    const answer = answers[index];
    if (answer === 'renewed') return;
    if (answer !== 'gone') {
      const message = `Could not adopt "${key}": the lock server did not confirm it; try again.`;
      throw new LockUnavailableError(message, { key });
    }
    const message = `The lock "${key}" of this handle is not its owner's any more; acquire it anew.`;
    throw new LockLostError(message, { key, reason: 'gone', fence });
  });
}
