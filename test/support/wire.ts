import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { isMessage, isPush, RespFrames, wordsOf } from './resp.js';

/** Which commands are meant, by their words: `(words) => words[0] === 'evalsha'`. */
export type CommandFilter = (words: readonly string[]) => boolean;

/** The n-th command from now on, counted from 1, or the n-th of some. */
export function nth(n: number, among: CommandFilter = () => true): CommandFilter {
  let count = 0;
  return (words) => among(words) && ++count === n;
}

/** A reply that was stopped on its way. */
export interface StoppedReply {
  /** Resolves when the server has answered, so when the command has been carried out. */
  readonly arrived: Promise<void>;
  /** Lets it go on, if it was held, and all that came after it. */
  letGo(): void;
}

export interface Trap {
  readonly to: CommandFilter;
  readonly fate: 'hold' | 'lose';
  spring(line: Line): void;
}

/** How a wire understands what goes over one connection of its kind. */
export type LineKind = new (wire: Wire, client: Socket, server: Socket) => Line;

/**
 * A TCP proxy before a server: a network that can be made slow, deaf or broken. What it does to a connection is what
 * TCP can do: bytes are late, in slices, held back or gone with their connection, never out of order.
 */
export class Wire implements AsyncDisposable {
  /** How long each piece takes, in each direction; the jitter comes on top, at random. */
  latencyMs = 0;
  jitterMs = 0;
  /** The largest piece that is delivered at once. */
  sliceBytes = Infinity;
  /** Messages do not arrive any more, though replies do; where they can be told apart, as with RESP3. */
  deaf = false;
  /** How many messages it kept back because it was deaf. */
  unheard = 0;
  /** How many passed. */
  commands = 0;
  /** @internal */
  readonly traps = new Set<Trap>();
  private readonly lines = new Set<Line>();
  private silence: 'none' | 'replies' | 'all' = 'none';
  private isLate = false;

  private constructor(
    private server: Server,
    private readonly target: number,
    readonly port: number,
    /** @internal */
    readonly roll: () => number,
    private readonly kind: LineKind,
  ) {}

  /**
   * @param roll where the jitter comes from
   * @param kind of its connections; else they are of Redis
   */
  static async to(port: number, roll: () => number = Math.random, kind: LineKind = RespLine): Promise<Wire> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const wire = new Wire(server, port, (server.address() as AddressInfo).port, roll, kind);
    wire.serve(server);
    return wire;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.lines.size;
  }

  /** Nothing arrives any more, and nobody is told; with `replies`, only what the server says is held back. */
  silent(what: 'all' | 'replies' = 'all'): void {
    this.silence = what;
    for (const line of this.lines) this.hush(line);
  }

  /** Messages are held back, and nothing else is: where they come over connections of their own, as with RESP2. */
  holdMessages(): void {
    this.isLate = true;
    for (const line of this.lines) line.delayMessages();
  }

  /** They arrive now. */
  letMessagesGo(): void {
    this.isLate = false;
    for (const line of this.lines) line.replies.open();
  }

  /** How many pieces with messages are held back. */
  get messagesHeld(): number {
    let sum = 0;
    if (this.isLate) for (const line of this.lines) if (line.isForMessages) sum += line.replies.waiting;
    return sum;
  }

  /** @internal */
  get delaysMessages(): boolean {
    return this.isLate;
  }

  /** What was held back arrives now, as after a cable was plugged in again. */
  audible(): void {
    this.silence = 'none';
    for (const line of this.lines) this.hush(line);
  }

  /** Breaks all connections; new ones may be made. */
  cut(): void {
    for (const line of this.lines) line.cut();
  }

  /** Breaks all connections, and takes no new ones. */
  async refuse(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.cut();
    await closed;
  }

  /** Takes new connections again. */
  async accept(): Promise<void> {
    if (this.server.listening) return;
    this.server = createServer().listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.serve(this.server);
  }

  /**
   * The next such command is carried out, but its reply is lost, and its connection with it: one that lost a reply and
   * went on would take the next reply for it.
   */
  loseReply(to: CommandFilter): StoppedReply {
    return this.trap(to, 'lose');
  }

  /** The reply to the next such command is held until told, and what comes after it on the same connection. */
  holdReply(to: CommandFilter): StoppedReply {
    return this.trap(to, 'hold');
  }

  async stop(): Promise<void> {
    if (this.server.listening) await this.refuse();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private trap(to: CommandFilter, fate: Trap['fate']): StoppedReply {
    let held: Line | undefined;
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const spring = (line: Line): void => {
      held = line;
      arrive();
    };
    this.traps.add({ to, fate, spring });
    return { arrived, letGo: () => held?.replies.open() };
  }

  private serve(server: Server): void {
    server.on('connection', (client) => {
      const line = new this.kind(this, client, createConnection(this.target, '127.0.0.1'));
      this.lines.add(line);
      this.hush(line);
      client.on('close', () => this.lines.delete(line));
    });
  }

  private hush(line: Line): void {
    line.requests.muted = this.silence === 'all';
    line.replies.muted = this.silence !== 'none';
    line.requests.flush();
    line.replies.flush();
  }
}

/** One connection through the wire. */
export abstract class Line {
  readonly requests: Way;
  readonly replies: Way;

  constructor(
    protected readonly wire: Wire,
    private readonly client: Socket,
    private readonly server: Socket,
  ) {
    this.requests = new Way(wire, server);
    this.replies = new Way(wire, client);
    client.on('data', (chunk: Buffer) => this.onRequest(chunk));
    server.on('data', (chunk: Buffer) => this.onReply(chunk));
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.cut());
    }
  }

  cut(): void {
    this.requests.close();
    this.replies.close();
    this.client.destroy();
    this.server.destroy();
  }

  /** Carries nothing but messages. */
  get isForMessages(): boolean {
    return false;
  }

  delayMessages(): void {
    if (this.isForMessages && this.wire.delaysMessages) this.replies.shut();
  }

  protected abstract onRequest(chunk: Buffer): void;
  protected abstract onReply(chunk: Buffer): void;

  /** The trap for such a command, if there is one; it is taken away. */
  protected trapFor(words: readonly string[]): Trap | undefined {
    this.wire.commands++;
    const trap = [...this.wire.traps].find(({ to }) => to(words));
    if (trap) this.wire.traps.delete(trap);
    return trap;
  }
}

class RespLine extends Line {
  /** What is to become of the replies that are still to come, in their order; undefined: nothing special. */
  private readonly fates: (Trap | undefined)[] = [];
  private readonly asked = new RespFrames();
  private readonly answered = new RespFrames();
  private speaksResp3 = false;
  /** False where messages cannot be told from replies. */
  private follows = true;

  override get isForMessages(): boolean {
    return !this.follows;
  }

  protected onRequest(chunk: Buffer): void {
    if (this.follows) for (const frame of this.asked.push(chunk)) this.expect(wordsOf(frame));
    this.requests.send(chunk);
  }

  private expect(words: readonly string[]): void {
    if (/^hello$/i.test(words[0] ?? '') && words[1] === '3') this.speaksResp3 = true;
    if (/subscribe$/i.test(words[0] ?? '')) {
      const trap = [...this.wire.traps].find(({ to, fate }) => fate === 'lose' && to(words));
      if (trap) {
        this.wire.traps.delete(trap);
        trap.spring(this);
        this.cut();
      }
      // it is answered by messages, which RESP3 marks as such
      if (!this.speaksResp3) this.follows = false;
      this.delayMessages();
      return;
    }
    this.fates.push(this.trapFor(words));
  }

  protected onReply(chunk: Buffer): void {
    if (!this.follows) return this.replies.send(chunk);
    for (const frame of this.answered.push(chunk)) {
      if (this.wire.deaf && isMessage(frame)) {
        this.wire.unheard++;
        continue;
      }
      const trap = isPush(frame) ? undefined : this.fates.shift();
      trap?.spring(this);
      if (trap?.fate === 'lose') return this.cut();
      if (trap?.fate === 'hold') this.replies.shut();
      this.replies.send(frame);
    }
  }
}

/** One direction of a connection: a queue, in order. */
class Way {
  muted = false;
  private isShut = false;
  private closed = false;
  private readonly queue: { readonly piece: Buffer; readonly dueMs: number }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly wire: Wire,
    private readonly socket: Socket,
  ) {}

  send(bytes: Buffer): void {
    const { latencyMs, jitterMs, sliceBytes, roll } = this.wire;
    for (let at = 0; at < bytes.length; at += sliceBytes) {
      const piece = bytes.subarray(at, Math.min(bytes.length, at + sliceBytes));
      this.queue.push({ piece, dueMs: performance.now() + latencyMs + roll() * jitterMs });
    }
    this.flush();
  }

  get waiting(): number {
    return this.queue.length;
  }

  shut(): void {
    this.isShut = true;
  }

  open(): void {
    this.isShut = false;
    this.flush();
  }

  /** Delivers what is due, a piece a turn of the event loop when there are slices. */
  flush(): void {
    clearTimeout(this.timer);
    while (!this.muted && !this.isShut && !this.closed) {
      const [next] = this.queue;
      if (!next) return;
      const leftMs = next.dueMs - performance.now();
      if (leftMs > 0) {
        this.timer = setTimeout(() => this.flush(), Math.ceil(leftMs));
        return;
      }
      this.queue.shift();
      this.socket.write(next.piece);
      if (this.wire.sliceBytes < Infinity) {
        this.timer = setTimeout(() => this.flush(), 0);
        return;
      }
    }
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }
}
