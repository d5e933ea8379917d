import { describe, expect, it } from '@jest/globals';
import { Module, type ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { LockModule, LockService, lockServiceToken } from 'nestjs-interlock';
import { LockTestingModule, passThroughLocks } from 'nestjs-interlock/testing';

const compile = (imports: ModuleMetadata['imports'] = []): Promise<TestingModule> =>
  Test.createTestingModule({ imports }).compile();

describe('two global lock modules of one name', () => {
  it('are refused, because nobody could say which of them a class gets', async () => {
    await expect(compile([LockModule.forRoot(), LockModule.forRoot({ ttl: '10s' })])).rejects.toThrow(
      'Two global modules (LockModule and LockModule) provide nestjs-interlock.locks; import one of them, once, or give them different names. To replace the locks of an application in a test, override the provider lockServiceToken().',
    );
    await expect(
      compile([
        LockModule.forRoot({ name: 'a' }),
        LockModule.forRootAsync({ name: 'a', useFactory: () => ({}) }),
      ]),
    ).rejects.toThrow('provide nestjs-interlock.locks:a;');
  });

  it('are refused as well when one of them is a test module', async () => {
    await expect(compile([LockModule.forRoot(), LockTestingModule.passThrough()])).rejects.toThrow(
      /LockModule and LockTestingModule|LockTestingModule and LockModule/,
    );
  });

  it('are none when one is imported twice, when their names differ, or when only one is global', async () => {
    const shared = LockModule.forRoot();
    @Module({ imports: [shared, LockModule.forRoot({ name: 'a' }), LockModule.forRoot({ global: false })] })
    class Feature {}
    const module = await compile([shared, Feature]);
    expect(module.get(LockService, { strict: false })).toBeInstanceOf(LockService);
    await module.close();
  });

  it('are none when a test overrides the provider', async () => {
    const locks = passThroughLocks();
    const module = await Test.createTestingModule({ imports: [LockModule.forRoot()] })
      .overrideProvider(lockServiceToken())
      .useValue(locks)
      .compile();
    expect(module.get(LockService)).toBe(locks);
    await module.close();
  });
});
