/** What the suite needs of a test runner; Jest, Vitest, Mocha and node:test all fit. */
export interface TestRunner {
  /** A group of tests; `body` defines them at once. */
  describe(name: string, body: () => void): unknown;
  /** `timeoutMs` may be ignored. */
  it(name: string, body: () => Promise<void>, timeoutMs?: number): unknown;
}

/**
 * The runner whose `describe` and `it` are global.
 *
 * @throws TypeError when there is none
 */
export function globalRunner(): TestRunner {
  const { describe, it } = globalThis as Partial<TestRunner>;
  if (typeof describe === 'function' && typeof it === 'function') return { describe, it };
  throw new TypeError(
    'There are no global describe and it; pass those of your test runner: { runner: { describe, it } }.',
  );
}
