import type { StoppedReply } from '../../support/wire.js';

export type Verb = 'claim' | 'renew' | 'release';

/** The way of one actor to the servers, which can be made slow, deaf or broken. Nothing for a backend without a server. */
export interface Road {
  /** What the backend of the actor is made with. */
  readonly target: unknown;
  /** The same for the service called `careful`, where there is one. */
  readonly careful?: unknown;
  /** Nothing arrives any more, and nobody is told. */
  silence(): void;
  /** Breaks all connections; new ones may be made. */
  cut(): void;
  /** Notifications do not arrive any more. */
  deafen(): void;
  /** What is asked is carried out; its answers wait until it is mended. */
  holdReplies(): void;
  /** Messages that come over a connection of their own wait until it is mended. */
  holdMessages?(): void;
  /** How many of them do. */
  readonly messagesHeld?: number;
  slow(by: { latencyMs: number; jitterMs: number; sliceBytes: number }): void;
  /** The next such request is carried out, but its answer is lost. */
  loseReply(verb: Verb): StoppedReply;
  /** As it was in the beginning. */
  mend(): void;
  close(): Promise<void>;
}

/** Within one process there is no way that could break. */
export const NO_ROAD: Road = {
  target: undefined,
  silence: impassable,
  cut: impassable,
  deafen: impassable,
  holdReplies: impassable,
  slow: impassable,
  loseReply: impassable,
  mend: () => undefined,
  close: async () => undefined,
};

function impassable(): never {
  throw new Error('There is no road that could break.');
}
