import type { LockSnapshot } from '../backends/lock-backend.js';

/** How a key is held, for people. */
export function modeText({ mode, of, holders }: LockSnapshot): string {
  if (mode !== 'permits') return mode;
  return `${holders.reduce((sum, { take }) => sum + take, 0)} of ${of} permits`;
}
