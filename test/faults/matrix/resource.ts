import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readLines, writeLine } from './json-lines.js';
import type { ResourceReply, ResourceRequest } from './resource-app.js';

export const ROOT = join(import.meta.dirname, '..', '..', '..');

type Wish<T> = T extends unknown ? Omit<T, 'id'> : never;

/** A connection to the guarded resource. */
export class ResourceClient {
  private readonly open = new Map<number, (reply: ResourceReply) => void>();
  private asked = 0;

  private constructor(private readonly socket: Socket) {
    readLines<ResourceReply>(socket, (reply) => {
      this.open.get(reply.id)?.(reply);
      this.open.delete(reply.id);
    });
  }

  static async to(port: number): Promise<ResourceClient> {
    const socket = createConnection(port, '127.0.0.1').setNoDelay(true);
    await once(socket, 'connect');
    return new ResourceClient(socket);
  }

  ask(wish: Wish<ResourceRequest>): Promise<ResourceReply> {
    const id = ++this.asked;
    return new Promise((resolve) => {
      this.open.set(id, resolve);
      writeLine(this.socket, { id, ...wish });
    });
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The process that keeps what the locks guard. */
export class Resource implements AsyncDisposable {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    readonly client: ResourceClient,
  ) {}

  static async start(): Promise<Resource> {
    const args = ['--import', './scripts/ts.mjs', join(import.meta.dirname, 'resource-app.ts')];
    const env = { ...process.env, NODE_OPTIONS: '' };
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const { port } = JSON.parse(line) as { port: number };
    return new Resource(child, port, await ResourceClient.to(port));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    const exit = once(this.child, 'exit');
    this.child.stdin?.end();
    await exit;
  }
}
