import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * The shell starts the program, tells its process id, and waits for its own standard input to end. That ends with this
 * process, however it ends, and then the program is killed with all its children, even frozen ones.
 */
const GUARD =
  '"$0" "$@" >server.log 2>&1 & echo $!; cat >/dev/null; kill -9 $! $(ps -o pid= --ppid $!) 2>/dev/null; wait';

/** A program, and the processes that it makes. It never outlives this process. */
export class GuardedProcess {
  private constructor(
    private readonly guard: ChildProcess,
    readonly processId: number,
  ) {}

  /** @param folder where it runs, and where its output goes: `server.log` */
  static async start(folder: string, program: string, given: readonly string[]): Promise<GuardedProcess> {
    const guard = spawn('sh', ['-c', GUARD, program, ...given], {
      cwd: folder,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const [line] = (await once(createInterface(guard.stdout), 'line')) as [string];
    return new GuardedProcess(guard, Number(line));
  }

  get alive(): boolean {
    return this.guard.exitCode === null && this.guard.signalCode === null;
  }

  /** Stops all its processes, with their connections left open. */
  async freeze(): Promise<void> {
    // the parent first: it makes no more of them then
    this.signal(this.processId, 'SIGSTOP');
    for (const child of await this.children()) this.signal(child, 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    for (const child of await this.children()) this.signal(child, 'SIGCONT');
    this.signal(this.processId, 'SIGCONT');
  }

  /** All its processes, at once, as in a crash. */
  async kill(): Promise<void> {
    if (!this.alive) return;
    const exit = once(this.guard, 'exit');
    this.guard.stdin?.end();
    await exit;
  }

  private async children(): Promise<number[]> {
    const { processId } = this;
    const list = await readFile(`/proc/${processId}/task/${processId}/children`, 'utf8').catch(() => '');
    return list.split(' ').filter(Boolean).map(Number);
  }

  private signal(processId: number, signal: NodeJS.Signals): void {
    try {
      process.kill(processId, signal);
    } catch {
      // it ended meanwhile
    }
  }
}

/** The command and its arguments, as that user when we are root, which database servers refuse to run as. */
export function asUser(user: string, program: string, given: readonly string[]): [string, string[]] {
  if (process.getuid?.() !== 0) return [program, [...given]];
  return ['setpriv', [`--reuid=${user}`, `--regid=${user}`, '--init-groups', program, ...given]];
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}
