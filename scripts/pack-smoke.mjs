/**
 * `npm run smoke`: what a user gets. Packs the library, installs the tarball beside each line of Nest, with and
 * without the client, loads it by `import` and by `require`, and compiles against it.
 */
import { rmSync } from 'node:fs';
import { cp, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run, script } from './run.mjs';

const lines = [
  { nest: 11, ioredis: 5 },
  { nest: 12, ioredis: 6 },
];

const resolutions = [
  { module: 'node16', moduleResolution: 'node16' },
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'preserve', moduleResolution: 'bundler' },
];

/** @param {string} cwd @param {readonly string[]} packages */
const install = (cwd, packages) =>
  run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], {
    cwd,
  });

/** @param {string} scratch */
async function pack(scratch) {
  const output = await run('npm', [
    'pack',
    '--json',
    '--silent',
    '--ignore-scripts',
    '--pack-destination',
    scratch,
  ]);
  const [report] = JSON.parse(output.slice(output.indexOf('[')));
  const stray = report.files
    .map((/** @type {{ path: string }} */ file) => file.path)
    .filter(
      (/** @type {string} */ path) =>
        !/^(dist\/.*\.(js|d\.ts|js\.map)|dist\/cjs\/package\.json|[A-Z]+(\.md)?|package\.json)$/.test(path),
    );
  if (stray.length > 0) throw new Error(`the tarball carries ${stray.join(', ')}`);
  console.log(
    `${report.filename}: ${report.files.length} files, ${Math.round(report.size / 1024)} kB packed`,
  );
  return join(scratch, report.filename);
}

/** @param {string} project @param {readonly string[]} flags */
async function probe(project, flags) {
  for (const file of ['probe.mjs', 'probe-require.cjs']) {
    const output = await run('node', [file, ...flags], { cwd: project });
    console.log(`  ${file} ${flags.join(' ')}: ${output.trim().split('\n').at(-1)}`);
  }
}

/** @param {string} project @param {number} nest */
async function compile(project, nest) {
  for (const resolution of resolutions) {
    // Under node16 a CommonJS file may not import an ES module, which Nest 12 is; nodenext knows require(esm).
    const files =
      nest >= 12 && resolution.module === 'node16' ? ['consumer.mts'] : ['consumer.mts', 'consumer.cts'];
    await writeFile(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          ...resolution,
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable'],
          types: [],
          strict: true,
          experimentalDecorators: true,
          emitDecoratorMetadata: true,
          skipLibCheck: true,
          noEmit: true,
        },
        files,
      }),
    );
    await run('tsc', ['-p', 'tsconfig.json'], { cwd: project });
    console.log(
      `  types resolve with ${resolution.module} and ${resolution.moduleResolution}: ${files.join(', ')}`,
    );
  }
}

await script(async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'nestjs-interlock-smoke-'));
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
    process.once(signal, () => process.exit(1));

  await run('node', ['scripts/build.mjs']);
  const tarball = await pack(scratch);
  await run('publint', ['run', tarball, '--strict']);
  await run('attw', [tarball, '--profile', 'node16', '--no-definitely-typed']);
  console.log('publint and attw have nothing to say');

  for (const { nest, ioredis } of lines) {
    const project = join(scratch, `nest-${nest}`);
    await cp(join(root, 'test/package'), project, { recursive: true });
    await cp(join(project, 'consumer.ts'), join(project, 'consumer.mts'));
    await cp(join(project, 'consumer.ts'), join(project, 'consumer.cts'));
    await writeFile(
      join(project, 'package.json'),
      JSON.stringify({ name: `smoke-nest-${nest}`, private: true }),
    );
    const packages = [`@nestjs/common@${nest}`, `@nestjs/core@${nest}`, 'reflect-metadata@0.2', 'rxjs@7'];

    await install(project, [tarball, ...packages]);
    console.log(`Nest ${nest} without clients`);
    await probe(project, []);
    const help = await run(join(project, 'node_modules/.bin/nestjs-interlock'), ['--help'], { cwd: project });
    console.log(`  the command line: ${help.split('\n')[0]}`);

    const peers = [`@nestjs/terminus@${nest}`, '@opentelemetry/api@1'];
    await install(project, [`ioredis@${ioredis}`, 'pg@8', 'mysql2@3', ...peers]);
    console.log(`Nest ${nest} with ioredis ${ioredis}, pg 8 and mysql2 3`);
    await probe(project, ['--with-clients']);
    await compile(project, nest);
  }
});
