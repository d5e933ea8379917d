import { existsSync } from 'node:fs';
import { join } from 'node:path';

const swc = {
  sourceMaps: 'inline',
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { decoratorMetadata: true, legacyDecorator: true },
  },
  module: { type: 'es6' },
};

/** Tests and samples import the library by its public names and get the sources. */
const publicNames = {
  '^nestjs-interlock$': '<rootDir>/lib/index.ts',
  '^nestjs-interlock/mysql$': '<rootDir>/lib/backends/mysql/index.ts',
  '^nestjs-interlock/postgres$': '<rootDir>/lib/backends/postgres/index.ts',
  '^nestjs-interlock/redis$': '<rootDir>/lib/backends/redis/index.ts',
  '^nestjs-interlock/terminus$': '<rootDir>/lib/terminus/index.ts',
  '^nestjs-interlock/opentelemetry$': '<rootDir>/lib/opentelemetry/index.ts',
  '^nestjs-interlock/testing$': '<rootDir>/lib/testing/index.ts',
};

const relative = { '^(\\.{1,2}/.*)\\.js$': '$1' };

const common = {
  rootDir: import.meta.dirname,
  roots: ['lib', 'test', 'sample']
    .filter((dir) => existsSync(join(import.meta.dirname, dir)))
    .map((dir) => `<rootDir>/${dir}`),
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': ['@swc/jest', swc] },
  setupFiles: ['reflect-metadata'],
};

export default {
  // more than there are cores: most tests wait for servers and time most of the time
  maxWorkers: 3,
  testTimeout: 30_000,
  reporters: ['default', '<rootDir>/scripts/tally-reporter.mjs'],
  projects: [
    {
      ...common,
      displayName: 'nest-12',
      globals: { NEST_MAJOR: 12 },
      moduleNameMapper: { ...publicNames, ...relative },
      testMatch: [
        '<rootDir>/lib/**/*.spec.ts',
        '<rootDir>/test/**/*.spec.ts',
        '<rootDir>/sample/**/*.spec.ts',
      ],
    },
    {
      ...common,
      displayName: 'nest-11',
      globals: { NEST_MAJOR: 11 },
      moduleNameMapper: {
        ...publicNames,
        '^(@nestjs/.+|ioredis(?:/.+)?)$': '<rootDir>/test/nest-11/node_modules/$1',
        ...relative,
      },
      testMatch: [
        '<rootDir>/test/e2e/**/*.spec.ts',
        '<rootDir>/test/conformance/redis{,-clients,-cluster,-sentinel}.spec.ts',
        '<rootDir>/test/redis/cluster.spec.ts',
      ],
    },
  ],
};
