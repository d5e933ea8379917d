/** So many leases or places are kept in one step; nobody else is served meanwhile, for about half a millisecond. */
const BATCH = 250;

/** What one step can do: of one slot, and not too much. */
export function batchesOf<T>(items: readonly T[], slotOf: (item: T) => number): T[][] {
  const batches: T[][] = [];
  const open = new Map<number, T[]>();
  for (const item of items) {
    const slot = slotOf(item);
    let batch = open.get(slot);
    if (!batch || batch.length === BATCH) {
      batch = [];
      batches.push(batch);
      open.set(slot, batch);
    }
    batch.push(item);
  }
  return batches;
}
