import type { Stage } from '../stage.js';

/** How a fault is brought about, and what is done meanwhile. What happened is judged afterwards. */
export interface Play {
  /** How many actors it takes. */
  readonly actors: number;
  /** The world is not what it was before, and cannot be used again. */
  readonly ruins?: boolean;
  act(stage: Stage): Promise<void>;
}
