import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import config from '../../jest.config.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** The line of ioredis that a project of Jest tests with, and the patterns of its test files. */
interface Line {
  readonly major: number;
  readonly testMatch: readonly string[];
}

const lines = new Map<string, Line>(
  config.projects.map(({ displayName, moduleNameMapper, testMatch }) => {
    const mapped = Object.entries<string>(moduleNameMapper).find(([name]) => name.includes('ioredis'));
    const folder = (mapped?.[1] ?? '<rootDir>/node_modules/$1')
      .replace('<rootDir>', root)
      .replace('$1', 'ioredis');
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return [displayName, { major: Number.parseInt(version, 10), testMatch }];
  }),
);

it.each([
  { topology: 'one server', file: 'redis.spec.ts', world: 'RedisServer' },
  {
    topology: 'the primary that Sentinels name',
    file: 'redis-sentinel.spec.ts',
    world: 'RedisSentinelWorld',
  },
  { topology: 'a cluster', file: 'redis-cluster.spec.ts', world: 'RedisClusterWorld' },
])('the contract is run on $topology, with ioredis 5 and 6', ({ file, world }) => {
  const path = `test/conformance/${file}`;
  const code = readFileSync(join(root, path), 'utf8');
  expect(code).toMatch(new RegExp(`^describeLockBackend\\('redis`, 'm'));
  expect(code).toContain(`await ${world}.start()`);
  const majors = [...lines.values()]
    .filter(({ testMatch }) => testMatch.some((pattern) => matches(pattern, path)))
    .map(({ major }) => major);
  expect(new Set(majors)).toEqual(new Set([5, 6]));
});

it.each([
  { database: 'PostgreSQL', file: 'postgres', world: 'await PostgresServer.start()' },
  {
    database: 'MariaDB, and MySQL where one is given',
    file: 'mysql',
    world: 'describe.each(MYSQL_WORLDS)',
  },
])(
  'the contract is run on $database, with and without a lockDelay, and both suites also with one connection',
  ({ file, world }) => {
    const contract = readFileSync(join(root, `test/conformance/${file}.spec.ts`), 'utf8');
    expect(contract.match(/^ *describeLockBackend\('/gm)).toHaveLength(2);
    expect(contract).toContain(world);
    const locks = readFileSync(join(root, `test/conformance/${file}-locks.spec.ts`), 'utf8');
    expect(locks.match(/^suite\('/gm)).toHaveLength(2);
    for (const code of [contract, locks]) expect(code).toMatch(/(max|connectionLimit): 1[ ,]/);
  },
);

it('the contract is run on MySQL by the statements that are tried first, and by the procedures alone', () => {
  const contract = readFileSync(join(root, 'test/conformance/mysql.spec.ts'), 'utf8');
  expect(contract).toContain('create: () => mysql(server.url),');
  expect(contract.match(/resetOnRelease: true/g)).toHaveLength(1);
});

/** For the few patterns that jest.config.js is made of. */
function matches(pattern: string, path: string): boolean {
  const expression = pattern
    .replace('<rootDir>/', '')
    .replaceAll('.', '\\.')
    .replaceAll('**/', '(?:.+/)?')
    .replaceAll('*', '[^/]*')
    .replaceAll(/\{([^}]*)\}/g, (_, words: string) => `(?:${words.replaceAll(',', '|')})`);
  return new RegExp(`^${expression}$`).test(path);
}
