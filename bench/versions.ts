import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const PACKAGES = [
  'ioredis',
  'redlock',
  'redlock-universal',
  'redis-semaphore',
  '@verrou/core',
  'node-redisson',
  'pg',
  'mysql2',
  'knex',
  'kysely',
  '@nestjs/core',
];

/** What took part, by name and version. */
export async function versions(): Promise<string[]> {
  const found = await Promise.all(
    PACKAGES.map(async (name) => {
      const version = await versionOf(name);
      return version === undefined ? `${name} (not installed)` : `${name} ${version}`;
    }),
  );
  return found;
}

/** Read from the folder: not every package exports its package.json. */
async function versionOf(name: string): Promise<string | undefined> {
  for (const folder of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    try {
      const { version } = JSON.parse(await readFile(join(folder, name, 'package.json'), 'utf8')) as {
        version: string;
      };
      return version;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}
