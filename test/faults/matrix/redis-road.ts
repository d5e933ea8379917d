import {
  claimScript,
  passScript,
  releaseScript,
  renewScript,
} from '../../../lib/backends/redis/redis-script.js';
import type { StoppedReply } from '../../support/wire.js';
import { nth, Wire } from '../../support/wire.js';
import type { Road, Verb } from './road.js';

const SCRIPTS: Readonly<Record<Verb, readonly string[]>> = {
  claim: [claimScript.sha],
  renew: [renewScript.sha],
  release: [releaseScript.sha, passScript.sha],
};

/** A wire to each of the servers. */
export class RedisRoad implements Road {
  private constructor(
    private readonly wires: readonly Wire[],
    readonly target: unknown,
    readonly careful: unknown,
  ) {}

  /** @param targets what a backend and, perhaps, a careful one is made with, by the wires' ports */
  static async to(
    ports: readonly number[],
    targetOf: (portOf: (port: number) => number) => { target: unknown; careful?: unknown },
  ): Promise<RedisRoad> {
    const wires = await Promise.all(ports.map((port) => Wire.to(port)));
    const { target, careful } = targetOf((port) => wires[ports.indexOf(port)]?.port ?? port);
    return new RedisRoad(wires, target, careful);
  }

  silence(): void {
    for (const wire of this.wires) wire.silent();
  }

  cut(): void {
    for (const wire of this.wires) wire.cut();
  }

  deafen(): void {
    for (const wire of this.wires) wire.deaf = true;
  }

  holdReplies(): void {
    for (const wire of this.wires) wire.silent('replies');
  }

  holdMessages(): void {
    for (const wire of this.wires) wire.holdMessages();
  }

  get messagesHeld(): number {
    return this.wires.reduce((sum, wire) => sum + wire.messagesHeld, 0);
  }

  slow(by: { latencyMs: number; jitterMs: number; sliceBytes: number }): void {
    for (const wire of this.wires) Object.assign(wire, by);
  }

  loseReply(verb: Verb): StoppedReply {
    const first = nth(1, ([name = '', sha = '']) => /^evalsha$/i.test(name) && SCRIPTS[verb].includes(sha));
    const stopped = this.wires.map((wire) => wire.loseReply(first));
    return { arrived: Promise.race(stopped.map(({ arrived }) => arrived)), letGo: () => undefined };
  }

  mend(): void {
    for (const wire of this.wires) {
      Object.assign(wire, { latencyMs: 0, jitterMs: 0, sliceBytes: Infinity, deaf: false });
      wire.traps.clear();
      wire.letMessagesGo();
      wire.audible();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.wires.map((wire) => wire.stop()));
  }
}
