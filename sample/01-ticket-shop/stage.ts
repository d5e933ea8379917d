/** A replica, as those who watch it see it. */
export interface Replica {
  readonly name: string;
  readonly url: string;
  /** Ends it, or cuts it off, without a goodbye to the lock server. */
  kill(): void;
}

/** Where the piece is played: in one process, or in several. */
export interface Stage {
  readonly title: string;
  readonly replicas: readonly [Replica, Replica, Replica];
  /** How `kill` is called here. */
  readonly killing: string;
  /** Whether a killed replica lives on somewhere, and will try to write. */
  readonly haunted: boolean;
}

/** What has to be cleaned up, whatever happens; the last first. */
export class Cleanup {
  private readonly steps: (() => unknown)[] = [];
  private running: Promise<void> | undefined;

  add(step: () => unknown): void {
    this.steps.push(step);
  }

  run(): Promise<void> {
    return (this.running ??= this.runAll());
  }

  private async runAll(): Promise<void> {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step();
      } catch (error) {
        console.error(`Cleaning up: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode ||= 1;
      }
    }
  }
}
