import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects all garbage now, so that nobody's turn pays for what was left behind in another one. */
export function collectGarbage(): void {
  collect();
}
