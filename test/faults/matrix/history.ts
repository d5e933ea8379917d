import type { Line } from './actor-app.js';

/** One lock in one hand, from the call that acquired it to its end. */
export interface Holding {
  readonly actor: string;
  readonly key: string;
  readonly fence: bigint | undefined;
  readonly invMs: number;
  readonly retMs: number;
  readonly waitMs: number;
  readonly ttlMs: number;
  /** When the requests were sent and answered that the server confirmed. */
  readonly proofs: Proof[];
  readonly checks: { readonly atMs: number; readonly held: boolean }[];
  lost?: { readonly atMs: number; readonly reason: string };
  releasingMs?: number;
  released?: { readonly retMs: number; readonly answer: boolean | string };
  /** When the actor was killed. */
  diedMs?: number;
}

export interface Proof {
  readonly sentMs: number;
  readonly heardMs: number;
  readonly ttlMs: number;
}

/** An acquisition that failed. */
export type Refusal = Extract<Line, { log: 'refused' }> & { readonly actor: string };

/** A time in which an actor could not run, by intention. */
export interface Pause {
  readonly actor: string;
  readonly fromMs: number;
  toMs: number;
}

/** What the actors of one run told, in one book. */
export class History {
  readonly holdings = new Map<string, Holding>();
  readonly refusals: Refusal[] = [];
  readonly pauses: Pause[] = [];
  readonly unhandled: string[] = [];
  readonly warnings: string[] = [];
  /** Writes that the resource accepted. */
  readonly writes: { readonly actor: string; readonly accepted: boolean; readonly atMs: number }[] = [];
  private readonly byFence = new Map<string, Holding>();
  /** A proof comes before the grant that it belongs to. */
  private readonly early = new Map<string, Proof[]>();
  private readonly calling = new Map<string, string>();

  constructor(
    /** Lines of other runs, that arrive late, are not ours. */
    private readonly stem: string,
    private readonly prefix: string,
  ) {}

  get all(): Holding[] {
    return [...this.holdings.values()];
  }

  take(actor: string, line: Line): void {
    if (line.log === 'unhandled') return void this.unhandled.push(`${actor}: ${line.text}`);
    if (line.log === 'warning') return void this.warnings.push(line.text);
    if ('key' in line && !line.key.replace(`${this.prefix}:`, '').startsWith(this.stem)) return;
    if (line.log === 'granted') return this.grant(actor, line);
    if (line.log === 'proof') return this.prove(line);
    if (line.log === 'calling') return void this.calling.set(line.id, actor);
    if (line.log === 'refused') {
      this.calling.delete(line.id);
      return void this.refusals.push({ ...line, actor });
    }
    if (!('id' in line)) return;
    const holding = this.holdings.get(line.id);
    if (!holding) return;
    if (line.log === 'lost') holding.lost = line;
    if (line.log === 'checked') holding.checks.push(line);
    if (line.log === 'releasing') holding.releasingMs = line.atMs;
    if (line.log === 'released') holding.released = line;
    if (line.log === 'wrote') this.writes.push({ ...line, actor });
  }

  died(actor: string, atMs: number): void {
    for (const holding of this.holdings.values())
      if (holding.actor === actor && !holding.released) holding.diedMs ??= atMs;
    for (const [id, caller] of this.calling) if (caller === actor) this.calling.delete(id);
  }

  /** Calls to which there was no answer. */
  get unsettled(): string[] {
    return [...this.calling].map(([id, actor]) => `${id} of ${actor}`);
  }

  private grant(actor: string, line: Extract<Line, { log: 'granted' }>): void {
    this.calling.delete(line.id);
    const fence = line.fence === undefined ? undefined : BigInt(line.fence);
    const name = `${line.key}#${fence}`;
    const holding: Holding = { ...line, actor, fence, proofs: this.early.get(name) ?? [], checks: [] };
    this.early.delete(name);
    this.holdings.set(line.id, holding);
    this.byFence.set(name, holding);
  }

  private prove({ key, fence, sentMs, heardMs, ttlMs }: Extract<Line, { log: 'proof' }>): void {
    const name = `${key.replace(`${this.prefix}:`, '')}#${fence}`;
    const proof = { sentMs, heardMs, ttlMs };
    const holding = this.byFence.get(name);
    if (holding) return void holding.proofs.push(proof);
    this.early.set(name, [...(this.early.get(name) ?? []), proof]);
  }
}
