import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './redis-trial.js';
import { Tunnel } from './tunnel.js';
import type { ChildLine } from './job-child.js';

const ROOT = join(import.meta.dirname, '..', '..');
const BOOT_LIMIT_MS = 20_000;

/** What happened at a replica, and when, in ms of the one clock of this machine. */
export interface Happening extends Omit<ChildLine, 'atNs'> {
  readonly replica: string;
  readonly atMs: number;
}

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A replica as a process of its own, behind a tunnel of its own. */
export class JobReplica {
  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
    private readonly tunnel: Tunnel,
  ) {}

  /** @param diary where it writes down what happens, as all replicas do */
  static async start(
    redisPort: number,
    prefix: string,
    name: string,
    skewMs: number,
    diary: Happening[],
  ): Promise<JobReplica> {
    const tunnel = await Tunnel.to(redisPort);
    const args = [`redis://127.0.0.1:${tunnel.port}`, prefix, name, String(skewMs)];
    const child = spawn(
      process.execPath,
      ['--import', './scripts/ts.mjs', 'test/support/job-child.ts', ...args],
      {
        cwd: ROOT,
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    let isReady = false;
    createInterface(child.stdout).on('line', (text) => {
      const { what, of, atNs } = JSON.parse(text) as ChildLine;
      isReady ||= what === 'ready';
      diary.push({ replica: name, what, of, atMs: Number(BigInt(atNs)) / 1e6 });
    });
    await until(() => isReady, `${name} is ready`, BOOT_LIMIT_MS);
    return new JobReplica(name, child, tunnel);
  }

  resign(): void {
    this.child.stdin?.write('resign\n');
  }

  cut(): void {
    this.tunnel.cut();
  }

  heal(): void {
    this.tunnel.heal();
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exit;
    await this.tunnel[Symbol.asyncDispose]();
  }

  /** As a deployment does it. */
  async stop(): Promise<number | null> {
    const exit = once(this.child, 'exit');
    this.child.stdin?.end();
    await exit;
    await this.tunnel[Symbol.asyncDispose]();
    return this.child.exitCode;
  }
}
