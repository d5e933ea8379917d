import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** A way to a server on which requests can be kept, and arrive long after whoever sent them has hung up. */
export class SlowRoad implements AsyncDisposable {
  private kept: { readonly to: Socket; readonly bytes: Buffer }[] | undefined;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async to(port: number): Promise<SlowRoad> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no address');
    const road = new SlowRoad(server, address.port);
    server.on('connection', (near) => road.connect(near, port));
    return road;
  }

  /** From here on requests are kept, whoever sends them. */
  keep(): void {
    this.kept ??= [];
  }

  get isKeeping(): boolean {
    return (this.kept?.length ?? 0) > 0;
  }

  /** Requests go through again; what was kept stays so. */
  open(): () => void {
    const kept = this.kept ?? [];
    this.kept = undefined;
    return () => kept.forEach(({ to, bytes }) => to.write(bytes));
  }

  /** Hangs up on the clients; the server notices nothing. */
  hangUp(): void {
    for (const socket of this.sockets) if (socket.localPort === this.port) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private connect(near: Socket, port: number): void {
    const far = createConnection(port, '127.0.0.1');
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
    }
    near.on('data', (bytes) => {
      if (this.kept) this.kept.push({ to: far, bytes });
      else far.write(bytes);
    });
    far.on('data', (bytes) => void (near.writable && near.write(bytes)));
    far.on('close', () => near.destroy());
  }
}
