import { nth, Wire, type CommandFilter, type LineKind, type StoppedReply } from '../../support/wire.js';
import type { Road, Verb } from './road.js';

/** What carries a verb out; a release and the claim of the next one may go together. */
const STEPS: Readonly<Record<Verb, RegExp>> = {
  claim: /^interlock_claim_/,
  renew: /^interlock_renew_/,
  release: /^interlock_(release|pass)_/,
};

/** A wire to a database. */
export class SqlRoad implements Road {
  private constructor(
    private readonly wire: Wire,
    readonly target: unknown,
  ) {}

  /** @param targetOf what a backend is made with, by the wire's port */
  static async to(port: number, kind: LineKind, targetOf: (port: number) => unknown): Promise<SqlRoad> {
    const wire = await Wire.to(port, Math.random, kind);
    return new SqlRoad(wire, targetOf(wire.port));
  }

  /** Statements for locks that were sent. */
  get requests(): number {
    return this.wire.commands;
  }

  silence(): void {
    this.wire.silent();
  }

  cut(): void {
    this.wire.cut();
  }

  deafen(): void {
    this.wire.deaf = true;
  }

  holdReplies(): void {
    this.wire.silent('replies');
  }

  slow(by: { latencyMs: number; jitterMs: number; sliceBytes: number }): void {
    Object.assign(this.wire, by);
  }

  loseReply(verb: Verb): StoppedReply {
    const isIt: CommandFilter = (names) => names.some((name) => STEPS[verb].test(name));
    return this.wire.loseReply(nth(1, isIt));
  }

  mend(): void {
    Object.assign(this.wire, { latencyMs: 0, jitterMs: 0, sliceBytes: Infinity, deaf: false });
    this.wire.traps.clear();
    this.wire.audible();
  }

  async close(): Promise<void> {
    await this.wire.stop();
  }
}
