/** `npm run build`: the published folder `dist`, as ES modules and as CommonJS, each with its own declarations. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run, script } from './run.mjs';

await script(async () => {
  const dist = join(root, 'dist');
  await rm(dist, { recursive: true, force: true });
  await Promise.all([run('tsc', ['-p', 'tsconfig.esm.json']), run('tsc', ['-p', 'tsconfig.cjs.json'])]);
  // The package is of type "module"; this marks the other half.
  await writeFile(join(dist, 'cjs', 'package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`);
});
