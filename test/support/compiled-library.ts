import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compile } from '../../scripts/ts-hooks.mjs';

const root = join(import.meta.dirname, '../..');

/** The library as JavaScript, for processes that are started again and again and should not compile it each time. */
export class CompiledLibrary implements AsyncDisposable {
  private constructor(private readonly folder: string) {}

  /** @param programs that use it, as they are called in the repository, without their ending */
  static async make(...programs: string[]): Promise<CompiledLibrary> {
    // inside the repository, where it finds its packages
    await mkdir(join(root, '.tmp'), { recursive: true });
    const library = new CompiledLibrary(await mkdtemp(join(root, '.tmp', 'library-')));
    const files = await readdir(join(root, 'lib'), { recursive: true, encoding: 'utf8' });
    const sources = files.filter((file) => /(?<!\.spec)\.ts$/.test(file)).map((file) => join('lib', file));
    await Promise.all(
      [...sources.map((file) => file.replace(/\.ts$/, '')), ...programs].map((file) => library.compile(file)),
    );
    return library;
  }

  /** @param file as it is called in the repository, without its ending */
  pathOf(file: string): string {
    return join(this.folder, `${file}.js`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async compile(file: string): Promise<void> {
    const source = join(root, `${file}.ts`);
    const target = this.pathOf(file);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, await compile(pathToFileURL(source).href, await readFile(source, 'utf8')));
  }
}
