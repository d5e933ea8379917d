/** By what a hold excludes others. */
export interface Share {
  readonly mode: 'exclusive' | 'shared' | 'permits';
  readonly take: number;
  readonly of: number;
}

export const EXCLUSIVE: Share = { mode: 'exclusive', take: 1, of: 1 };

/** Whether all of these may hold one key at the same time. */
export function areCompatible(shares: readonly Share[]): boolean {
  const [first] = shares;
  if (!first || shares.length === 1) return true;
  if (shares.some(({ mode }) => mode !== first.mode)) return false;
  if (first.mode !== 'permits') return first.mode === 'shared';
  const taken = shares.reduce((sum, { take }) => sum + take, 0);
  return taken <= Math.min(...shares.map(({ of }) => of));
}
