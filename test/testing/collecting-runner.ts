import type { TestRunner } from 'nestjs-interlock/testing';

const TIMEOUT_MS = 10_000;

/** What one test came to; no error when it passed. */
export interface Result {
  readonly name: string;
  readonly error?: unknown;
}

/** A test runner inside the test: it collects what a suite registers, to run it and look at the results. */
export class CollectingRunner implements TestRunner {
  private readonly tests: { readonly name: string; readonly body: () => Promise<void> }[] = [];

  readonly describe = (_name: string, body: () => void): void => body();

  readonly it = (name: string, body: () => Promise<void>): void => {
    this.tests.push({ name, body });
  };

  /** Runs the tests, or those that a filter picks, in their order. */
  async run(picks: (name: string) => boolean = () => true): Promise<Result[]> {
    const results: Result[] = [];
    for (const { name, body } of this.tests) {
      if (!picks(name)) continue;
      const error = await withinTime(body).then(
        () => undefined,
        (reason: unknown) => reason ?? new Error('rejected with nothing'),
      );
      results.push(error === undefined ? { name } : { name, error });
    }
    return results;
  }
}

async function withinTime(body: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs for ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
  });
  try {
    await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
  }
}
