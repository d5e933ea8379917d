import type { BackendContext, LockBackend } from '../backends/lock-backend.js';
import { LockError, LockUnavailableError } from './errors.js';
import { outcomeOf } from './outcome.js';
import type { ResolvedSettings } from './settings.js';

/** What has to be done when a backend begins and ends to serve. */
export interface BackendLifeHost {
  readonly context: BackendContext;
  /** It serves from here on. */
  opened(): void;
  /** Ends whatever uses it; bounded, and never rejects. */
  close(): Promise<void>;
  /** It is stopped. */
  closed(): void;
}

/** Starts a backend once, for whoever needs it first, and stops it once; one that comes up too late is not left open. */
export class BackendLife {
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  private running = false;
  /** Starts that came up too late, while another one was on its way or had made it; each is owed a stop. */
  private surplus = 0;

  constructor(
    private readonly backend: LockBackend,
    private readonly settings: ResolvedSettings,
    private readonly host: BackendLifeHost,
  ) {}

  /** Why nothing can be asked of it; undefined while it runs. */
  get obstacle(): string | undefined {
    if (this.stopping) return 'The lock service is shut down.';
    return this.running ? undefined : 'The lock service has not started.';
  }

  start(): Promise<void> {
    if (this.stopping) {
      const message = 'The lock service is shut down; let the work end before the application closes.';
      return Promise.reject(new LockUnavailableError(message));
    }
    return (this.starting ??= this.startNow());
  }

  stop(): Promise<void> {
    return (this.stopping ??= this.stopNow());
  }

  private async startNow(): Promise<void> {
    const { backend, host } = this;
    const { clock, startTimeoutMs } = this.settings;
    let awaited = true;
    const start = async (): Promise<void> => {
      await backend.start(host.context);
      if (this.stopping) await backend.stop();
      else if (awaited) this.running = true;
      // its stop could close what the other one opened
      else if (this.starting) this.surplus++;
      // nobody waits for it any more, so it would stay open for ever
      else await backend.stop();
    };
    const outcome = await outcomeOf(clock, startTimeoutMs, start);
    if (outcome.ok) return host.opened();
    awaited = false;
    this.starting = undefined;
    const cause = outcome.error;
    if (cause instanceof LockError) throw cause;
    const message = `The lock backend "${backend.traits.name}" did not start: ${cause.message}`;
    throw new LockUnavailableError(message, { cause });
  }

  private async stopNow(): Promise<void> {
    await this.host.close();
    const { clock, callTimeoutMs } = this.settings;
    // a backend that others share is stopped by those alone who have started it
    if (this.running || this.surplus > 0) await outcomeOf(clock, callTimeoutMs, () => this.stopBackend());
    this.host.closed();
  }

  private async stopBackend(): Promise<void> {
    const stops = this.surplus + (this.running ? 1 : 0);
    for (let n = 0; n < stops; n++) await this.backend.stop();
  }
}
