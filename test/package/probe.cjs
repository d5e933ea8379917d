// Takes the modules from its caller, so that one probe serves `import` and `require`.
'use strict';
const assert = require('node:assert/strict');

/**
 * @param {object} modules
 * @param {typeof import('@nestjs/core').NestFactory} modules.NestFactory
 * @param {typeof import('nestjs-interlock')} modules.entry
 * @param {typeof import('nestjs-interlock/mysql')} modules.mysql
 * @param {typeof import('nestjs-interlock/postgres')} modules.postgres
 * @param {typeof import('nestjs-interlock/redis')} modules.redis
 * @param {typeof import('nestjs-interlock/testing')} modules.testing
 * @param {(name: string) => Promise<any>} modules.load
 */
exports.probe = async function probe({ NestFactory, entry, mysql, postgres, redis, testing, load }) {
  assert.ok(Object.keys(testing).length > 0, 'the entry point for tests exports something');

  /** @param {Parameters<typeof entry.LockModule.forRoot>} options */
  const boot = (...options) =>
    NestFactory.createApplicationContext(entry.LockModule.forRoot(...options), {
      logger: false,
      abortOnError: false,
    });

  const app = await boot();
  const seen = await app.get(entry.LockService).using('k', async () => 'inside');
  assert.equal(seen, 'inside');
  await app.close();

  // Nothing listens there: with the client installed this is a server that cannot be reached, without it a sentence.
  const installed = process.argv.includes('--with-clients');
  const backends = {
    ioredis: () => redis.redis('redis://127.0.0.1:1'),
    mysql2: () => mysql.mysql('mysql://127.0.0.1:1/none'),
    pg: () => postgres.postgres('postgres://127.0.0.1:1/none'),
  };
  for (const [client, backend] of Object.entries(backends)) {
    const problem = await (async () => boot({ backend: backend() }))().then(
      () => assert.fail('an application without its lock server must not start'),
      (error) => error,
    );
    const message = String(problem.message);
    assert.equal(new RegExp(`npm install.*${client}`).test(message), !installed, message);
    console.log(message);
  }
  await probePeers({ NestFactory, entry, load, installed });
};

/**
 * What needs a package that not everybody has: without it, the error names it.
 *
 * @param {object} modules
 * @param {typeof import('@nestjs/core').NestFactory} modules.NestFactory
 * @param {typeof import('nestjs-interlock')} modules.entry
 * @param {(name: string) => Promise<any>} modules.load
 * @param {boolean} modules.installed
 */
async function probePeers({ NestFactory, entry, load, installed }) {
  const peers = { terminus: '@nestjs/terminus', opentelemetry: '@opentelemetry/api' };
  if (!installed) {
    for (const [name, peer] of Object.entries(peers))
      await assert.rejects(load(`nestjs-interlock/${name}`), (error) => String(error).includes(peer));
    return;
  }
  const { LockHealthIndicator, LockHealthModule } = await load('nestjs-interlock/terminus');
  const { LockTelemetryModule } = await load('nestjs-interlock/opentelemetry');
  class AppModule {}
  const imports = [entry.LockModule.forRoot(), LockHealthModule, LockTelemetryModule.forRoot()];
  const app = await NestFactory.createApplicationContext({ module: AppModule, imports }, { logger: false });
  const health = await app.get(LockHealthIndicator).isHealthy('locks');
  assert.equal(health.locks.status, 'up');
  await app.get(entry.LockService).using('k', async () => undefined);
  await app.close();
}
