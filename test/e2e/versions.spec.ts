import { expect, test } from '@jest/globals';
import { createRequire } from 'node:module';
import * as common from '@nestjs/common';
import * as core from '@nestjs/core';

/** Set by the jest project; the tests of one project must not silently load the other line. */
declare const NEST_MAJOR: 11 | 12;

const require = createRequire(import.meta.url);
const majorOf = (name: string): number => {
  const manifest = require(`${name}/package.json`) as { version: string };
  return Number.parseInt(manifest.version, 10);
};

test('the project loads the Nest line it is named after', () => {
  expect([majorOf('@nestjs/common'), majorOf('@nestjs/core')]).toEqual([NEST_MAJOR, NEST_MAJOR]);
  // The imported code, not only the manifest beside it: Nest 11 is CommonJS, which an import sees as a default.
  expect(['default' in common, 'default' in core]).toEqual([NEST_MAJOR === 11, NEST_MAJOR === 11]);
});

test('and the ioredis line that belongs to it', () => {
  expect(majorOf('ioredis')).toBe(NEST_MAJOR === 12 ? 6 : 5);
});
