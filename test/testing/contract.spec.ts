import { describe, expect, it } from '@jest/globals';
import {
  contractCases,
  describeLockBackend,
  ManualClock,
  type ContractOptions,
} from 'nestjs-interlock/testing';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { CollectingRunner } from './collecting-runner.js';

/** The behaviours that a backend alone can answer for. */
const LINES = [1, 2, 4, 5, 6, 10, 11, 12, 13, 15, 16, 17, 19, 21, 26, 27, 28, 29, 30, 31, 32, 34, 36, 37, 38, 39, 41, 42, 47]; // prettier-ignore

function options(runner: CollectingRunner): ContractOptions {
  const clock = new ManualClock();
  const server = new MemoryServer({ clock });
  const traits = { ...memory().traits, stay: true };
  return { runner, traits, create: () => memory({ server }), clock, wait: (ms) => clock.advance(ms) };
}

describe('the list of cases', () => {
  it('has each id and each name once', () => {
    expect(new Set(contractCases.map(({ id }) => id)).size).toBe(contractCases.length);
    expect(new Set(contractCases.map(({ name }) => name)).size).toBe(contractCases.length);
  });

  it.each(LINES)('covers behaviour %i', (line) => {
    expect(contractCases.some(({ lines }) => lines.includes(line))).toBe(true);
  });

  it('begins each name with the numbers of the behaviours that it covers', () => {
    for (const { name, lines } of contractCases) {
      expect(name.startsWith(lines.length > 0 ? `[${lines.join(', ')}] ` : '[seam] ')).toBe(true);
    }
  });
});

describe('describeLockBackend', () => {
  it('runs or rules out every case', async () => {
    const runner = new CollectingRunner();
    const { ran, ruledOut } = describeLockBackend('memory', options(runner));
    await runner.run();
    expect([...ran, ...ruledOut].sort()).toEqual(contractCases.map(({ id }) => id).sort());
    const others = [...ruledOut].filter((id) => !id.startsWith('delay-'));
    expect(others.sort()).toEqual(['refuses/exclusive', 'refuses/permits', 'refuses/shared']);
    expect(ruledOut).toContain('delay-line');
  });

  it('fails when a case was neither run nor ruled out', async () => {
    const runner = new CollectingRunner();
    describeLockBackend('memory', options(runner));
    const results = await runner.run((name) => !name.includes('a hundred contenders'));
    const failed = results.filter(({ error }) => error !== undefined);
    expect(failed.map(({ name }) => name)).toEqual(['[seam] ran every case that the traits do not rule out']);
    expect(String(failed[0]?.error)).toContain('hundred-contenders');
  });

  it('rules out by the traits alone, and asks for a refusal instead', () => {
    const { ruledOut } = describeLockBackend('poor', {
      ...options(new CollectingRunner()),
      traits: { modes: ['exclusive'], fence: 'clocked', wakeUp: 'poll' },
    });
    expect(ruledOut).toContain('readers-together');
    expect(ruledOut).toContain('permits-maximum');
    expect(ruledOut).toContain('first-come');
    expect(ruledOut).toContain('stale-owner/shared');
    expect(ruledOut).not.toContain('stale-owner/exclusive');
    expect(ruledOut).not.toContain('refuses/shared');
    expect(ruledOut).not.toContain('hundred-contenders');
  });

  it('fails a test after which something is left on the server, and cleans up after each', async () => {
    const runner = new CollectingRunner();
    let cleanups = 0;
    describeLockBackend('memory', {
      ...options(runner),
      leftovers: async () => ['a ghost'],
      cleanup: async () => void cleanups++,
    });
    const [result] = await runner.run((name) => name.includes('grants a free key (exclusive)'));
    expect(String(result?.error)).toContain('nothing is left on the server');
    expect(cleanups).toBe(1);
  });

  it('says what to do when there is no test runner', () => {
    const { runner: _, ...withoutRunner } = options(new CollectingRunner());
    const saved = Object.getOwnPropertyDescriptor(globalThis, 'describe');
    Reflect.deleteProperty(globalThis, 'describe');
    try {
      expect(() => describeLockBackend('memory', withoutRunner)).toThrow(
        'There are no global describe and it; pass those of your test runner: { runner: { describe, it } }.',
      );
    } finally {
      if (saved) Object.defineProperty(globalThis, 'describe', saved);
    }
  });
});
