import { BackendError } from './backend-error.js';
import type { Claim } from './lock-backend.js';

/** Why a claim is denied that came after its own abandonment. */
export function abandoned({ key, owner }: Claim): BackendError {
  return new BackendError(`The claim of ${owner} on "${key}" arrived after it had been abandoned.`, 'denied');
}

/** @throws BackendError when more permits are wanted than there are */
export function assertPossible({ key, mode, take, of }: Claim): void {
  if (mode !== 'permits' || take <= of) return;
  throw new BackendError(
    `Nobody can take ${take} of ${of} permits of "${key}"; take at most ${of}.`,
    'denied',
  );
}
