/** A replica, as those who watch it see it. */
export interface Replica {
  readonly name: string;
  readonly url: string;
}

/** What can befall a replica while it holds a lock. */
export interface Accident {
  readonly victim: Replica;
  readonly what: string;
  strike(): unknown;
  /** Where the victim comes back: called once somebody else has got its lock. */
  recover?(): unknown;
}

/** Where the piece is played: in one process, or in several. */
export interface Stage {
  readonly title: string;
  readonly replicas: readonly [Replica, ...Replica[]];
  /** For the second act. None befalls the first replica: it takes over. */
  readonly accidents: readonly Accident[];
}

/** What has to be cleaned up, whatever happens; the last first. */
export class Cleanup {
  private readonly steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step();
      } catch (error) {
        console.error(`Cleaning up: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    }
  }
}
