import { setTimeout as sleep } from 'node:timers/promises';
import type { Letter } from './fault-table.js';
import type { Road } from './road.js';
import { SqlRoad } from './sql-road.js';
import type { Denial, Servers, World } from './world.js';

/** As whom the actors connect: an ordinary user, to whom something can be denied. */
export const USER = 'app';
/** What the error says of a connection that was there a moment ago. */
export const DISCONNECTED = 'cannot be reached|not answer|may or may not|ECONN|terminated|closed';

/** What can be done to a database server of either kind. */
export interface DatabaseServer {
  readonly port: number;
  readonly alive: boolean;
  readonly processIds: readonly number[];
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  terminate(): Promise<number>;
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

/** For a connection that was ended to be so for all. */
const SETTLE_MS = 100;

/** How something that was begun is ended. */
export type Undo = () => Promise<unknown>;

/** One database server, and what it can be made to suffer, by connections of an `Admin`. */
export abstract class SqlWorld<Admin extends { end(): Promise<void> }> implements World, Servers {
  abstract readonly letter: Letter;
  abstract readonly kind: string;
  abstract readonly connections: number;
  abstract readonly isPolled: boolean;
  abstract readonly idleTimers: number;
  readonly isOneProcess = false;
  readonly servers = this;
  protected readonly roads: SqlRoad[] = [];

  protected constructor(private readonly server: DatabaseServer) {}

  abstract readonly denials: readonly Denial[];
  abstract leftovers(stem: string): Promise<string[]>;
  protected abstract makeRoad(): Promise<SqlRoad>;
  /** Deletes the row of one lock. */
  protected abstract forget(key: string): Promise<void>;
  /** Lets statements on the key wait, until its connection ends. */
  protected abstract lockUp(admin: Admin, key: string, nth: number): Promise<unknown>;
  protected abstract connect(): Promise<Admin>;

  async road(): Promise<Road> {
    const road = await this.makeRoad();
    this.roads.push(road);
    return road;
  }

  pids(): readonly number[] {
    return this.server.processIds;
  }

  freeze(): Promise<void> {
    return this.server.freeze();
  }

  thaw(): Promise<void> {
    return this.server.thaw();
  }

  async crash(_key: string, downMs: number): Promise<void> {
    await this.server.kill();
    await sleep(downMs);
    await this.server.restart();
  }

  wipe(key: string, nth: number): Promise<void> {
    return nth % 2 === 0 ? this.server.wipe() : this.forget(key);
  }

  async disconnectAll(): Promise<void> {
    await this.server.terminate();
  }

  async keepBusy(key: string, ms: number, nth: number): Promise<void> {
    const admin = await this.connect();
    try {
      await this.lockUp(admin, key, nth);
      await sleep(ms);
    } finally {
      await admin.end();
    }
  }

  async requests(): Promise<number> {
    return this.roads.reduce((sum, { requests }) => sum + requests, 0);
  }

  async heal(): Promise<void> {
    if (!this.server.alive) await this.server.restart();
    await this.server.thaw();
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  protected denial(name: string, error: RegExp, deny: (admin: Admin) => Promise<Undo>): Denial {
    let undo: Undo | undefined;
    let admin: Admin | undefined;
    return {
      name,
      error,
      begin: async () => {
        admin = await this.connect();
        undo = await deny(admin);
        await sleep(SETTLE_MS);
      },
      end: async () => {
        await undo?.();
        await admin?.end();
      },
    };
  }
}
