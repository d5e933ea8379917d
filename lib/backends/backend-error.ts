/**
 * What a failed backend call says about the server's state.
 *
 * - `denied`: the server refused, or was never reached; nothing has been changed by this call.
 * - `unknown`: it may or may not have been carried out (the reply was lost, the connection broke).
 *
 * Taking an unknown outcome for a denial leaves ghosts behind; taking it for a loss throws away good leases.
 */
export type Certainty = 'denied' | 'unknown';

/** The only error that a method of a {@link LockBackend} may reject with. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  /** What it says about the server's state. */
  readonly certainty: Certainty;

  /**
   * @param message a sentence that says what failed, why, and, where there is one, the remedy
   */
  constructor(message: string, certainty: Certainty, options?: { cause?: unknown }) {
    super(message, options);
    this.certainty = certainty;
  }
}
