import { Subject, type Observable } from 'rxjs';
import type { LossReason } from './errors.js';

/** What happens to the locks of one service. Keys are those of the caller, without the prefix. */
export type LockEvent =
  | { readonly type: 'waiting'; readonly key: string }
  | { readonly type: 'acquired'; readonly key: string; readonly fence: bigint; readonly waitedMs: number }
  | { readonly type: 'reentered'; readonly key: string; readonly fence: bigint }
  | { readonly type: 'busy'; readonly key: string; readonly waitedMs: number; readonly holder?: string }
  | {
      readonly type: 'skipped';
      readonly key: string;
      /** What did not run: `Jobs.nightly`. */
      readonly site: string;
      readonly why: string;
    }
  | { readonly type: 'unavailable'; readonly key: string; readonly error: Error }
  | { readonly type: 'lost'; readonly key: string; readonly fence: bigint; readonly reason: LossReason }
  | {
      readonly type: 'released';
      readonly key: string;
      readonly fence: bigint;
      readonly heldMs: number;
      /** False when the server did not know it as ours any more. */
      readonly wasHeld: boolean;
    }
  | { readonly type: 'release-failed'; readonly key: string; readonly error: Error }
  | { readonly type: 'cleanup-owed'; readonly key: string; readonly error: Error }
  | { readonly type: 'cleanup-paid'; readonly key: string }
  | { readonly type: 'cleanup-expired'; readonly key: string }
  | { readonly type: 'backend-error'; readonly error: Error }
  | { readonly type: 'node-down'; readonly node: string; readonly role: string; readonly error: string }
  | { readonly type: 'node-up'; readonly node: string; readonly role: string };

/** The events of one service. Whoever listens cannot harm it. */
export class LockEvents {
  /** Whoever keeps the log; never throws. */
  onAlert: ((event: LockEvent) => void) | undefined;
  private readonly subject = new Subject<LockEvent>();
  readonly stream: Observable<LockEvent> = this.subject.asObservable();

  /** False while nobody listens, so that nothing has to be made up for nobody. */
  get observed(): boolean {
    return this.subject.observed;
  }

  emit(event: LockEvent): void {
    this.subject.next(event);
  }

  /** Like `emit`, for what somebody should hear of though nobody listens. */
  alert(event: LockEvent): void {
    this.onAlert?.(event);
    if (this.observed) this.subject.next(event);
  }

  complete(): void {
    this.subject.complete();
  }
}
