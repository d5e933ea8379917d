import {
  context,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { errorMessage } from '../core/errors.js';
import type { LockEvent } from '../core/events.js';
import type { NamedKey } from '../core/key.js';
import { HeldLease, type Lease } from '../core/lease.js';
import type { Terms } from '../core/options.js';
import type { Refusal } from '../core/refusal.js';
import type { LockTracer } from '../core/tracer.js';

/** The span of one lease, open until all of its keys have come to an end. */
interface HoldSpan {
  readonly span: Span;
  readonly open: Set<string>;
}

/**
 * A span for each acquisition, and one for each lease from its grant to its end, in the trace of the caller. What
 * runs under `using` and `@Locked` has the second for its parent.
 */
export class LockSpans implements LockTracer {
  private readonly holds = new Map<string, HoldSpan>();
  private readonly contexts = new WeakMap<Lease, Context>();

  /** @param withKeys whether spans have the keys as well, and not only their pattern */
  constructor(
    private readonly tracer: Tracer,
    private readonly base: Attributes,
    private readonly withKeys: boolean,
  ) {}

  async acquiring(
    wanted: readonly NamedKey[],
    terms: Terms,
    acquire: () => Promise<HeldLease | Refusal>,
  ): Promise<HeldLease | Refusal> {
    const caller = context.active();
    const attributes = this.attributesOf(wanted, terms);
    const span = this.tracer.startSpan(nameOf('acquire', terms), { attributes }, caller);
    try {
      const result = await context.with(trace.setSpan(caller, span), acquire);
      const isLease = result instanceof HeldLease;
      span.setAttribute('interlock.outcome', isLease ? 'acquired' : result.verdict.kind);
      if (isLease) this.hold(result, terms, attributes, caller);
      else if (result.verdict.kind === 'unavailable') fail(span, result.verdict.error);
      return result;
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  holding<T>(lease: Lease, run: () => T): T {
    const inside = this.contexts.get(lease);
    return inside ? context.with(inside, run) : run();
  }

  /** Ends the span of what has come to its end. */
  notice(event: LockEvent): void {
    if (event.type !== 'released' && event.type !== 'lost') return;
    const id = idOf(event.key, event.fence);
    const hold = this.holds.get(id);
    if (!hold) return;
    this.holds.delete(id);
    hold.open.delete(id);
    if (event.type === 'lost') {
      hold.span.setAttribute('interlock.reason', event.reason);
      hold.span.setStatus({ code: SpanStatusCode.ERROR, message: 'lost' });
    }
    if (hold.open.size === 0) hold.span.end();
  }

  /** Nobody will tell of their ends any more. */
  stop(): void {
    for (const { span } of new Set(this.holds.values())) span.end();
    this.holds.clear();
  }

  private hold(lease: HeldLease, terms: Terms, attributes: Attributes, caller: Context): void {
    const ids = [...lease.fences].map(([key, fence]) => idOf(key, fence));
    // the others are held around this one, by re-entry, and have a span already
    const open = new Set(ids.filter((id) => !this.holds.has(id)));
    if (open.size === 0 || !lease.held) return;
    const span = this.tracer.startSpan(nameOf('hold', terms), { attributes }, caller);
    this.contexts.set(lease, trace.setSpan(caller, span));
    for (const id of open) this.holds.set(id, { span, open });
  }

  private attributesOf(wanted: readonly NamedKey[], { mode, pattern }: Terms): Attributes {
    return {
      ...this.base,
      'interlock.mode': mode,
      ...(pattern !== undefined && { 'interlock.pattern': pattern }),
      ...(this.withKeys && { 'interlock.keys': wanted.map(({ name }) => name) }),
    };
  }
}

function nameOf(what: 'acquire' | 'hold', { pattern }: Terms): string {
  return pattern === undefined ? `lock ${what}` : `lock ${what} ${pattern}`;
}

function idOf(key: string, fence: bigint): string {
  return `${fence} ${key}`;
}

function fail(span: Span, error: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: errorMessage(error) });
}
