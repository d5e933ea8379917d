import { StaleFenceError } from 'nestjs-interlock';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { SeatStore } from './seat-store.js';

interface Request {
  readonly seatId: string;
  readonly fence?: string;
  /** Only a write has one. */
  readonly buyer?: string;
}

interface Answer {
  readonly buyer?: string;
  readonly stale?: { readonly fence: string; readonly newestFence: string };
}

/** Opens a store to other processes, on a port of its own. */
export async function serveStore(store: SeatStore): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    void answer(store, request)
      .catch((error: unknown) => {
        response.statusCode = 500;
        return { error: String(error) };
      })
      .then((body) => response.end(JSON.stringify(body)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function answer(store: SeatStore, request: IncomingMessage): Promise<Answer> {
  const { seatId, buyer, fence } = (await json(request)) as Request;
  const token = fence === undefined ? undefined : BigInt(fence);
  try {
    if (buyer !== undefined) {
      await store.write(seatId, buyer, token);
      return {};
    }
    const owner = await store.read(seatId, token);
    return owner === undefined ? {} : { buyer: owner };
  } catch (error) {
    if (!(error instanceof StaleFenceError)) throw error;
    return { stale: { fence: String(error.fence), newestFence: String(error.newestFence) } };
  }
}

/** The same store, seen from another process. */
export class RemoteSeatStore extends SeatStore {
  constructor(private readonly url: string) {
    super();
  }

  async read(seatId: string, fence: bigint | undefined): Promise<string | undefined> {
    return (await this.ask(seatId, fence)).buyer;
  }

  async write(seatId: string, buyer: string, fence: bigint | undefined): Promise<void> {
    await this.ask(seatId, fence, buyer);
  }

  private async ask(seatId: string, fence: bigint | undefined, buyer?: string): Promise<Answer> {
    const body = JSON.stringify({ seatId, buyer, fence: fence?.toString() });
    const response = await fetch(this.url, { method: 'POST', body });
    if (!response.ok) throw new Error(`The store answered ${response.status}: ${await response.text()}`);
    const answer = (await response.json()) as Answer;
    const { stale } = answer;
    if (stale) throw new StaleFenceError(seatId, BigInt(stale.fence), BigInt(stale.newestFence));
    return answer;
  }
}
