import { eventsOf, type Event, type Operation } from './history.js';
import type { SequentialSpec } from './sequential-spec.js';

/**
 * Whether the operations of this history can be put into one order that respects their times and that the
 * specification allows: the search of Wing and Gong, with the memory of Lowe. For one key, and for histories whose
 * operations do not all overlap.
 */
export function isLinearizable<S>(history: readonly Operation[], spec: SequentialSpec<S>): boolean {
  const events = eventsOf(history).sort((one, other) => one.inv - other.inv);
  const isDone = events.map(() => false);
  const seen = new Set<string>();

  const search = (state: S, required: number): boolean => {
    if (required === 0) return true;
    const place = `${isDone.map(Number).join('')} ${spec.nameOf(state)}`;
    if (seen.has(place)) return false;
    seen.add(place);
    const leastRet = leastUndone(events, isDone);
    for (let index = 0; index < events.length; index++) {
      const event = events[index] as Event;
      if (event.inv > leastRet) break;
      if (isDone[index]) continue;
      const next = spec.step(state, event);
      if (next === undefined) continue;
      isDone[index] = true;
      if (search(next, required - (event.isOptional ? 0 : 1))) return true;
      isDone[index] = false;
    }
    return false;
  };

  return search(spec.initial, events.filter(({ isOptional }) => !isOptional).length);
}

function leastUndone(events: readonly Event[], isDone: readonly boolean[]): number {
  let least = Infinity;
  events.forEach(({ ret }, index) => {
    if (!isDone[index]) least = Math.min(least, ret);
  });
  return least;
}
