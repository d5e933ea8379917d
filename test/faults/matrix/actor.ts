import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { until } from '../../support/until.js';
import type { Command, Line } from './actor-app.js';
import type { ActorPlan, KeyState } from './contestant.js';
import type { History } from './history.js';
import { readLines, writeLine } from './json-lines.js';
import { nowMs } from './monotonic.js';
import { ROOT } from './resource.js';
import type { Road } from './road.js';

const BOOT_LIMIT_MS = 60_000;
const PROGRAM = join(import.meta.dirname, 'actor-app.ts');

/** How an acquisition is asked for. */
export interface Asking {
  readonly ttlMs: number;
  readonly waitMs: number;
  readonly service?: string;
  readonly turn?: boolean;
  readonly leads?: boolean;
}

/** An acquisition, and the lock that comes of it. */
export interface Attempt {
  readonly id: string;
  readonly key: string;
  /** Whether it was granted; with `turn`, when the turn is over. */
  readonly granted: Promise<boolean>;
}

let attempts = 0;

/** A contender: a process with a small application, on a road of its own to the servers. */
export class Actor {
  /** Where what it tells is written down. */
  history: History | undefined;
  /** How it ended. */
  private readonly ended: Promise<unknown>;
  private readonly open = new Map<number, (value: unknown) => void>();
  private asked = 0;
  private isReady = false;
  private frozenAtMs: number | undefined;
  /** What was told before anybody listened. */
  readonly opening: Line[] = [];

  private constructor(
    readonly name: string,
    readonly road: Road,
    private readonly child: ChildProcess,
  ) {
    this.ended = once(child, 'exit');
    if (child.stdout) readLines<Line>(child.stdout, (line) => this.take(line));
    child.stdin?.on('error', () => undefined);
  }

  static async start(plan: ActorPlan, road: Road): Promise<Actor> {
    const args = ['--import', './scripts/ts.mjs', PROGRAM, JSON.stringify(plan)];
    const env = { ...process.env, NODE_OPTIONS: '' };
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
    const actor = new Actor(plan.name, road, child);
    try {
      await until(() => actor.isReady || !actor.alive, `${plan.name} is ready`, BOOT_LIMIT_MS);
      if (!actor.alive) throw new Error(`${plan.name} did not start: ${JSON.stringify(actor.opening)}`);
      return actor;
    } catch (error) {
      await actor.kill();
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  get isFrozen(): boolean {
    return this.frozenAtMs !== undefined;
  }

  /** Never settles when the actor dies first. */
  ask(command: Command): Promise<unknown> {
    const to = ++this.asked;
    return new Promise((resolve) => {
      this.open.set(to, resolve);
      if (this.child.stdin) writeLine(this.child.stdin, { to, command });
    });
  }

  acquire(key: string, asking: Asking): Attempt {
    const id = `${key}/${++attempts}`;
    const granted = this.ask({ do: 'acquire', id, key, ...asking }).then((value) => value === true);
    return { id, key, granted };
  }

  with(what: 'check' | 'read' | 'commit' | 'write', { id }: Attempt): Promise<boolean> {
    return this.ask({ do: what, id }).then((value) => value === true);
  }

  async release({ id }: Attempt): Promise<boolean | string> {
    return (await this.ask({ do: 'release', id })) as boolean | string;
  }

  async abort({ id }: Attempt): Promise<void> {
    await this.ask({ do: 'abort', id });
  }

  /** Whether the lock was held right after. */
  async block({ id }: Attempt, ms: number): Promise<boolean> {
    const pause = { actor: this.name, fromMs: nowMs(), toMs: Infinity };
    this.history?.pauses.push(pause);
    const held = await this.ask({ do: 'block', id, ms });
    pause.toMs = nowMs();
    return held === true;
  }

  /** Undefined where that cannot be asked, or was not answered. */
  async inspect(key: string): Promise<KeyState | undefined> {
    return ((await this.ask({ do: 'inspect', key })) as KeyState | null) ?? undefined;
  }

  /** What came of some work under a lock. */
  guard(key: string, ttlMs: number, ms: number): Promise<unknown> {
    return this.ask({ do: 'guard', key, ttlMs, ms });
  }

  async count(): Promise<Readonly<Record<string, number>>> {
    return (await this.ask({ do: 'count' })) as Readonly<Record<string, number>>;
  }

  freeze(): void {
    this.child.kill('SIGSTOP');
    this.frozenAtMs = nowMs();
    this.history?.pauses.push({ actor: this.name, fromMs: this.frozenAtMs, toMs: Infinity });
  }

  thaw(): void {
    if (this.frozenAtMs === undefined) return;
    this.frozenAtMs = undefined;
    for (const pause of this.history?.pauses ?? []) if (pause.actor === this.name) pause.toMs = nowMs();
    this.child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    if (this.alive) this.child.kill('SIGKILL');
    this.history?.died(this.name, nowMs());
    await this.ended;
    await this.road.close();
  }

  /** As a deployment does it: the application closes, and the process ends. */
  async close(): Promise<void> {
    if (this.alive && !this.isFrozen) {
      await Promise.race([this.ask({ do: 'close' }), this.ended]);
      this.child.stdin?.end();
      await this.ended;
    }
    await this.kill();
  }

  private take(line: Line): void {
    if (line.log === 'ready') this.isReady = true;
    if (line.log === 'answer') {
      this.open.get(line.to)?.(line.value);
      this.open.delete(line.to);
    } else if (this.history) {
      this.history.take(this.name, line);
    } else {
      this.opening.push(line);
    }
  }
}
