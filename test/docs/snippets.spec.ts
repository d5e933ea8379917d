import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
mkdirSync(join(root, '.tmp'), { recursive: true });
const folder = mkdtempSync(join(root, '.tmp', 'snippets-'));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Snippet {
  readonly file: string;
  readonly code: string;
}

/** The TypeScript blocks of a page, each named after the page and the line where it begins. */
function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length;
    const file = `${page.replaceAll(/[^a-zA-Z0-9]+/g, '-')}-line-${line}.ts`;
    return { file, code: `${match[1] ?? ''}\nexport {};\n` };
  });
}

/** The pages of the repository, relative to its root. */
function pages(): string[] {
  const folders = ['docs', 'sample'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  );
  return ['README.md', ...folders.filter((file) => file.endsWith('.md'))];
}

test('every TypeScript snippet of README and docs compiles as it stands', async () => {
  const snippets = pages().flatMap(snippetsOf);
  expect(snippets.length).toBeGreaterThan(4);
  for (const { file, code } of snippets) writeFileSync(join(folder, file), code);
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ['*.ts', join(root, 'test/docs/ambient.d.ts')],
    exclude: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(root, 'node_modules/.bin/tsc');
  const complaints = await promisify(execFile)(tsc, ['-p', folder], { cwd: root }).then(
    () => '',
    (error: Error & { stdout?: string }) => error.stdout ?? error.message,
  );
  expect(complaints).toBe('');
});
