/**
 * Keeps the public types in one reviewed file: every name that an entry point exports, with every declaration that
 * its types reach. Fails when the built declarations differ; `--update` rewrites the file.
 *
 * It reads the output of tsc, where each top-level statement starts in the first column.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { root, run, script } from './run.mjs';

const snapshot = join(root, 'test/types/public-types.snap.md');

/**
 * @typedef {{ file: string, name: string }} Reference
 * @typedef {{ text: string[] }} Declaration
 * @typedef {object} Module
 * @property {Map<string, string[]>} declarations the statements of each top-level name
 * @property {Map<string, Reference>} imports local name to its origin; the name `*` is a namespace
 * @property {Map<string, Reference>} exports public name to its origin
 * @property {string[]} stars files whose names are all exported again
 */

/** @type {Map<string, Promise<Module>>} */
const modules = new Map();

/** @param {string} file @returns {Promise<Module>} */
function load(file) {
  const known = modules.get(file);
  if (known) return known;
  const loading = readFile(file, 'utf8').then((text) => parse(file, text));
  modules.set(file, loading);
  return loading;
}

/** @param {string} text */
function statements(text) {
  const bare = text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/^\s*(private|#private)\b.*;\n/gm, '');
  return bare
    .split(/\n(?=[a-z@])/)
    .map((statement) => statement.replace(/\n\s*\n/g, '\n').trim())
    .filter(Boolean);
}

/** @param {string} list `A, type B as C` @returns {[local: string, outer: string][]} */
const names = (list) =>
  list
    .split(',')
    .map((item) => item.trim().replace(/^type /, ''))
    .filter(Boolean)
    .map((item) => {
      const [from = '', to = from] = item.split(' as ');
      return [from, to];
    });

/** @param {string} file @param {string} text @returns {Module} */
function parse(file, text) {
  /** @type {Module} */
  const module = { declarations: new Map(), imports: new Map(), exports: new Map(), stars: [] };
  /** Where a specifier leads: a file of ours, or nothing for a package. @param {string} specifier */
  const target = (specifier) =>
    specifier.startsWith('.') ? resolve(dirname(file), specifier.replace(/\.js$/, '.d.ts')) : undefined;

  for (const statement of statements(text)) {
    let match;
    if ((match = /^import (?:type )?\{([^}]*)\} from ['"](.+)['"]/.exec(statement))) {
      const from = target(match[2] ?? '');
      if (from)
        for (const [name, local] of names(match[1] ?? '')) module.imports.set(local, { file: from, name });
    } else if (statement.startsWith('import ') || statement === 'export {};') {
      // A package's names keep their own documentation; a bare import has none.
    } else if ((match = /^export (?:type )?\{([^}]*)\}(?: from ['"](.+)['"])?/.exec(statement))) {
      const from = match[2] ? target(match[2]) : file;
      if (!from) throw new Error(`${file}: a package is exported again: ${statement}`);
      for (const [name, outer] of names(match[1] ?? '')) module.exports.set(outer, { file: from, name });
    } else if ((match = /^export \* from ['"](.+)['"]/.exec(statement))) {
      const from = target(match[1] ?? '');
      if (!from) throw new Error(`${file}: a package is exported again: ${statement}`);
      module.stars.push(from);
    } else if (
      (match =
        /^(export )?(?:default )?(?:declare )?(?:abstract )?(?:const enum|class|interface|type|const|let|function|enum|namespace) ([\w$]+)/.exec(
          statement,
        ))
    ) {
      const name = match[2] ?? '';
      module.declarations.set(name, [...(module.declarations.get(name) ?? []), statement]);
      if (match[1]) module.exports.set(name, { file, name });
    } else {
      throw new Error(`${file}: a statement of an unknown kind: ${statement.slice(0, 80)}`);
    }
  }
  return module;
}

/** @param {string} file @returns {Promise<Map<string, Reference>>} */
async function exportsOf(file) {
  const module = await load(file);
  const all = new Map(module.exports);
  for (const star of module.stars) for (const [name, origin] of await exportsOf(star)) all.set(name, origin);
  return all;
}

/** Follows imports and repeated exports to the declaration. @param {Reference} reference @returns {Promise<Reference>} */
async function origin({ file, name }) {
  const module = await load(file);
  if (module.declarations.has(name)) return { file, name };
  const next = module.imports.get(name) ?? (await exportsOf(file)).get(name);
  if (!next || (next.file === file && next.name === name)) throw new Error(`${file} has no ${name}`);
  return origin(next);
}

/** @param {string} types @param {string} entry */
async function describe(types, entry) {
  const names = await exportsOf(join(types, entry));
  /** @type {Map<string, string[]>} */
  const found = new Map();
  const publicKeys = new Set();
  const queue = [];
  for (const [name, reference] of names) {
    const real = await origin(reference);
    queue.push(real);
    if (real.name === name) publicKeys.add(`${real.name} ${real.file}`);
    else found.set(`${name} `, [`export { ${real.name} as ${name} };`]);
  }
  for (const reference of queue) {
    const key = `${reference.name} ${reference.file}`;
    if (found.has(key)) continue;
    const module = await load(reference.file);
    const text = module.declarations.get(reference.name) ?? [];
    // What is reached but not exported cannot be named by a user, and is marked so.
    const shown = text.map((statement) =>
      statement.replace(/^export (?!default)/, '').replace(/^declare /, ''),
    );
    found.set(key, publicKeys.has(key) ? shown.map((statement) => `export ${statement}`) : shown);
    for (const word of new Set(text.join('\n').match(/[A-Za-z_$][\w$]*/g))) {
      if (module.declarations.has(word)) queue.push({ file: reference.file, name: word });
      const imported = module.imports.get(word);
      if (imported) queue.push(await origin(imported));
    }
  }
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, text]) => text.join('\n'))
    .join('\n\n');
}

await script(async () => {
  const types = await mkdtemp(join(tmpdir(), 'public-types-'));
  try {
    await run('tsc', [
      '-p',
      'tsconfig.esm.json',
      '--emitDeclarationOnly',
      '--sourceMap',
      'false',
      '--inlineSources',
      'false',
      '--outDir',
      types,
    ]);
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    let text = '# Public types\n\nWritten by `npm run types:update`; a change here is a change for users.\n';
    for (const [subpath, conditions] of Object.entries(manifest.exports)) {
      if (typeof conditions === 'string') continue;
      const entry = conditions.import.types.replace('./dist/esm/', '');
      const name = subpath.replace(/^\./, manifest.name);
      text += `\n## ${name}\n\n\`\`\`ts\n${await describe(types, entry)}\n\`\`\`\n`;
    }
    if (process.argv.includes('--update')) {
      await mkdir(dirname(snapshot), { recursive: true });
      return await writeFile(snapshot, text);
    }
    const saved = await readFile(snapshot, 'utf8').catch(() => '');
    if (saved === text) return;
    const actual = join(types, 'actual.md');
    await writeFile(actual, text);
    const difference = await run('diff', ['-u', snapshot, actual]).catch((error) => error.message);
    throw new Error(`the public types changed; if that is meant: npm run types:update\n${difference}`);
  } finally {
    await rm(types, { recursive: true, force: true });
  }
});
