import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const COMPILERS = ['cc', 'gcc', 'clang', 'tcc'];
const SOURCE = join(import.meta.dirname, 'clock-shim.c');

/** The time of day of a server, which a test can set wrong while it runs. Linux only. */
export class ClockShim implements AsyncDisposable {
  private constructor(
    private readonly folder: string,
    private readonly file: FileHandle,
  ) {}

  static async compile(): Promise<ClockShim> {
    const folder = await mkdtemp(join(tmpdir(), 'interlock-clock-'));
    const shim = new ClockShim(folder, await open(join(folder, 'shift'), 'w+'));
    await shim.shift(0);
    await compile(join(folder, 'clock-shim.so'));
    return shim;
  }

  /** For the environment of the server. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: join(this.folder, 'clock-shim.so'),
      CLOCK_SHIM_FILE: join(this.folder, 'shift'),
    };
  }

  /** Sets the server's time of day so far ahead of the machine's, or behind it. */
  async shift(ms: number): Promise<void> {
    const value = Buffer.alloc(8);
    value.writeBigInt64LE(BigInt(ms));
    await this.file.write(value, 0, 8, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function compile(library: string): Promise<void> {
  const complaints: string[] = [];
  for (const compiler of COMPILERS) {
    try {
      await promisify(execFile)(compiler, ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl']);
      return;
    } catch (error) {
      complaints.push(`${compiler}: ${String(error)}`);
    }
  }
  throw new Error(
    `The tests of a server whose clock is set need a C compiler. Install one (Debian, Ubuntu: apt-get install gcc libc6-dev).\n${complaints.join('\n')}`,
  );
}
