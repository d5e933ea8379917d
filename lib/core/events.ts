import { channel } from 'node:diagnostics_channel';
import { Subject, type Observable } from 'rxjs';
import type { Certainty } from '../backends/backend-error.js';
import type { LockMode } from '../backends/lock-backend.js';
import type { LossReason } from './errors.js';
import { safeStream } from './safe-stream.js';

/** What an event is about. */
export interface LockSubject {
  /** That of the caller, without the prefix. */
  readonly key: string;
  /** How it is held, or was to be. */
  readonly mode: LockMode;
  /**
   * What the keys of the call have in common: the template of `@Locked`, or the option `pattern`. Unlike keys, there
   * are few of them, so they can be labels of metrics.
   */
  readonly pattern: string | undefined;
}

interface Granted extends LockSubject {
  readonly fence: bigint;
}

/** What happens to the locks of one service. */
export type LockEvent =
  /** The server said that the caller has to wait; of those who wait in one process, each tells when it is at the head. */
  | ({ readonly type: 'waiting' } & LockSubject)
  | ({ readonly type: 'acquired'; readonly waitedMs: number } & Granted)
  /** Somebody who holds it asked for it once more. */
  | ({ readonly type: 'reentered' } & Granted)
  /** It was not free within the wait. */
  | ({ readonly type: 'busy'; readonly waitedMs: number; readonly holder?: string } & LockSubject)
  /** The server refused (`denied`), or its answer did not come (`unknown`). */
  | ({ readonly type: 'unavailable'; readonly certainty: Certainty; readonly error: Error } & LockSubject)
  | {
      readonly type: 'skipped';
      readonly key: string;
      /** What did not run: `Jobs.nightly`. */
      readonly site: string;
      readonly why: string;
    }
  /** A lease was renewed so much too late because the event loop was blocked, or starved. */
  | ({ readonly type: 'renewed-late'; readonly lagMs: number; readonly ttlMs: number } & Granted)
  /** It has been held for many times its ttl; told once. */
  | ({ readonly type: 'held-long'; readonly heldMs: number; readonly ttlMs: number } & Granted)
  | ({ readonly type: 'lost'; readonly reason: LossReason; readonly heldMs: number } & Granted)
  | ({
      readonly type: 'released';
      readonly heldMs: number;
      /** False when the server did not know it as ours any more; undefined when it did not say. */
      readonly wasHeld: boolean | undefined;
    } & Granted)
  | { readonly type: 'release-failed'; readonly key: string; readonly error: Error }
  /** So many callers of this process wait for one key; told at each doubling. */
  | { readonly type: 'crowded'; readonly key: string; readonly waiting: number }
  /** Something may be left on the server; it is tried until it is gone, and each failure is told. */
  | { readonly type: 'cleanup-owed'; readonly key: string; readonly error: Error }
  | { readonly type: 'cleanup-paid'; readonly key: string }
  /** The ttl did it. */
  | { readonly type: 'cleanup-expired'; readonly key: string }
  /** This replica leads the group from here on. */
  | { readonly type: 'elected'; readonly group: string; readonly term: bigint }
  | { readonly type: 'deposed'; readonly group: string; readonly term: bigint }
  /** A server behind the locks: found by a health check, or because something went wrong. */
  | { readonly type: 'node-down'; readonly node: string; readonly role: string; readonly error: string }
  | { readonly type: 'node-up'; readonly node: string; readonly role: string }
  /** Something that no caller hears of. */
  | { readonly type: 'backend-error'; readonly error: Error };

/** What is published on the diagnostics channel `nestjs-interlock`. */
export interface LockMessage {
  /** What happened. */
  readonly event: LockEvent;
  /** Whose event it is. */
  readonly locks: {
    /** Of the service; undefined for the one without a name. */
    readonly name: string | undefined;
    readonly prefix: string;
    readonly identity: string;
    readonly backend: string;
  };
}

const DIAGNOSTICS = channel('nestjs-interlock');

/** The events of one service. Whoever listens cannot harm it. */
export class LockEvents {
  /** Whoever keeps the log; never throws. */
  onAlert: ((event: LockEvent) => void) | undefined;
  /** Told of what a listener threw; never throws. */
  onThrow: ((error: unknown) => void) | undefined;
  origin: LockMessage['locks'] | undefined;
  private readonly subject = new Subject<LockEvent>();
  readonly stream: Observable<LockEvent> = safeStream(this.subject, (error) => this.onThrow?.(error));

  /** False while nobody listens, so that nothing has to be made up for nobody. */
  get observed(): boolean {
    return this.subject.observed || DIAGNOSTICS.hasSubscribers;
  }

  emit(event: LockEvent): void {
    if (this.origin && DIAGNOSTICS.hasSubscribers) {
      DIAGNOSTICS.publish({ event, locks: this.origin } satisfies LockMessage);
    }
    this.subject.next(event);
  }

  /** Like `emit`, for what somebody should hear of though nobody listens. */
  alert(event: LockEvent): void {
    this.onAlert?.(event);
    if (this.observed) this.emit(event);
  }

  complete(): void {
    this.subject.complete();
  }
}
