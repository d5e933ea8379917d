import { writeFileSync } from 'node:fs';

/**
 * Closes a run with the plain line `N passed, N failed, N skipped`, which CI reads, or leaves the numbers to whoever
 * adds up several runs; and fails the run when a test was skipped or left as a todo.
 * A suite that could not even be loaded counts as one failure.
 */
export default class TallyReporter {
  /** @type {Error | undefined} */
  #error;
  #picksByName;

  /** @param {{ testNamePattern?: string }} globalConfig */
  constructor(globalConfig) {
    this.#picksByName = Boolean(globalConfig.testNamePattern);
  }

  /**
   * @param {unknown} _contexts
   * @param {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
   *   numRuntimeErrorTestSuites: number }} results
   */
  onRunComplete(_contexts, results) {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    if (skipped > 0 && !this.#picksByName) this.#error = new Error(`${skipped} tests were skipped`);
    const passed = results.numPassedTests;
    const file = process.env['INTERLOCK_TALLY'];
    if (file) {
      writeFileSync(file, JSON.stringify({ passed, failed, skipped }));
      return;
    }
    const line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
    // Jest's own summary always comes after the custom reporters.
    process.once('exit', () => process.stdout.write(`${line}\n`));
  }

  getLastError() {
    return this.#error;
  }
}
