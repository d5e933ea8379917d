/** Changes files of the library while they are loaded, so that bugs can be planted without touching them. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compile } from '../../scripts/ts-hooks.mjs';

/** @type {import('./patching.js').Patch[]} */
let patches = [];

/** @param {import('./patching.js').Patch[]} data */
export function initialize(data) {
  patches = data;
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  const ours = patches.filter(({ file }) => url.endsWith(`/lib/${file}`));
  if (ours.length === 0) return nextLoad(url, context);
  let source = await readFile(fileURLToPath(url), 'utf8');
  for (const { file, find, replace } of ours) {
    if (source.split(find).length !== 2) {
      throw new Error(`lib/${file} does not have this exactly once, adapt the mutant: ${find}`);
    }
    source = source.replace(find, replace);
  }
  return { format: 'module', source: await compile(url, source), shortCircuit: true };
}
