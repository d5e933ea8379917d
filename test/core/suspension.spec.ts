import { expect, it } from '@jest/globals';
import { memory } from '../../lib/backends/memory/index.js';
import type { Lease } from '../../lib/core/lease.js';
import { Locks } from '../../lib/core/locks.js';
import { Host } from '../faults/simulator/host.js';
import { Random } from '../faults/simulator/random.js';
import { VirtualTime } from '../faults/simulator/virtual-time.js';

/** Lets virtual time go by until the promise has settled. */
async function settled<T>(time: VirtualTime, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const done = (): void => void (isSettled = true);
  promise.then(done, done);
  await time.run(() => isSettled, 10_000);
  return promise;
}

it('[17, 22] a lease that was acquired after a suspension does not wait for a timer from before it', async () => {
  const time = new VirtualTime();
  const host = new Host('laptop', time, new Random(1), 1, 0);
  const locks = new Locks(memory(), { clock: host });
  const sleep = (ms: number): Promise<void> =>
    settled(
      time,
      new Promise((resolve) => {
        host.setTimer(resolve, ms);
      }),
    );
  // its timer is due 10 s later by a clock that stands still meanwhile
  await settled(time, locks.acquire('long', { ttl: '30s' }));
  host.suspend(60_000);
  await sleep(1);
  const lease: Lease = await settled(time, locks.acquire('short', { ttl: 600 }));
  await sleep(3_000);
  expect(lease.held).toBe(true);
  await settled(time, locks.stop());
});
