import type { Discipline, Entry, Measurement, Results } from './disciplines/discipline.js';
import { collectGarbage } from './garbage.js';
import type { Rig } from './rig.js';

/** What came out of a discipline: figures of some, a remark on each of the others. */
export interface Comparison {
  readonly results: Results;
  readonly remarks: ReadonlyMap<string, string>;
}

/** In turns, round by round, each time from another entry on. */
export async function compare(
  { turns: usualTurns = 1, rounds: most = Infinity, warmUp = true }: Discipline,
  field: readonly Entry[],
  rounds: number,
  rig: Rig,
): Promise<Comparison> {
  const results = new Map<string, Measurement[]>();
  const remarks = new Map<string, string>();
  const turns = rig.quick ? 1 : usualTurns;
  const first = warmUp && !rig.quick ? -turns : 0;
  for (let turn = first; turn < Math.min(rounds, most) * turns; turn++) {
    for (let place = 0; place < field.length; place++) {
      const entry = field[(place + turn - first) % field.length];
      if (!entry || remarks.has(entry.name)) continue;
      collectGarbage();
      const measurement = await entry.measure(rig);
      if ('remark' in measurement) remarks.set(entry.name, measurement.remark);
      else if (turn >= 0) results.set(entry.name, [...(results.get(entry.name) ?? []), measurement]);
    }
  }
  for (const name of remarks.keys()) results.delete(name);
  const inOrder = field.flatMap(({ name }) => {
    const measurements = results.get(name);
    return measurements ? [[name, measurements] as const] : [];
  });
  return { results: new Map(inOrder), remarks };
}
