import { transform } from '@swc/core';
import { access, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);

/** The public names stand for the sources, as they do in tsconfig.json and jest.config.js. */
const entries = new Map([
  ['nestjs-interlock', new URL('lib/index.ts', root).href],
  ['nestjs-interlock/mysql', new URL('lib/backends/mysql/index.ts', root).href],
  ['nestjs-interlock/postgres', new URL('lib/backends/postgres/index.ts', root).href],
  ['nestjs-interlock/redis', new URL('lib/backends/redis/index.ts', root).href],
  ['nestjs-interlock/terminus', new URL('lib/terminus/index.ts', root).href],
  ['nestjs-interlock/opentelemetry', new URL('lib/opentelemetry/index.ts', root).href],
  ['nestjs-interlock/testing', new URL('lib/testing/index.ts', root).href],
]);

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, nextResolve) {
  const entry = entries.get(specifier);
  if (entry) return { url: entry, shortCircuit: true };
  if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')) {
    const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    const exists = await access(source).then(
      () => true,
      () => false,
    );
    if (exists) return { url: source.href, shortCircuit: true };
  }
  return nextResolve(specifier, context);
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  const source = await compile(url, await readFile(fileURLToPath(url), 'utf8'));
  return { format: 'module', source, shortCircuit: true };
}

/**
 * The JavaScript of a TypeScript file.
 * @param {string} url
 * @param {string} source
 */
export async function compile(url, source) {
  const { code } = await transform(source, {
    filename: fileURLToPath(url),
    swcrc: false,
    sourceMaps: 'inline',
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: { decoratorMetadata: true, legacyDecorator: true },
    },
    module: { type: 'es6' },
  });
  return code;
}
