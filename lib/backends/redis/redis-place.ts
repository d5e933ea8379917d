import type { Busy, Claim, Grant, Place } from '../lock-backend.js';

/** What a place asks of its backend. */
export interface Asking {
  ask(claim: Claim): Promise<Grant | Busy>;
  listen(claim: Claim, wake: () => void): void;
  forget(claim: Claim): void;
}

export function isBusy(answer: Grant | Busy): answer is Busy {
  return !('fence' in answer);
}

/** A place in the server's line: the same object for as long as it has to wait. */
export class RedisPlace implements Place {
  constructor(
    private readonly backend: Asking,
    private readonly claim: Claim,
    public busy: Busy,
  ) {}

  onHint(wake: () => void): void {
    this.backend.listen(this.claim, wake);
  }

  async retry(): Promise<Grant | Place> {
    const answer = await this.backend.ask(this.claim);
    if (isBusy(answer)) {
      this.busy = answer;
      return this;
    }
    this.backend.forget(this.claim);
    return answer;
  }
}
