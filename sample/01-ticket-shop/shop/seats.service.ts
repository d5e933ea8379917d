import { GoneException, HttpException, HttpStatus, Injectable } from '@nestjs/common';
import { currentLease, Locked } from 'nestjs-interlock';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeatStore } from './seat-store.js';
import type { Order, Ticket } from './order.js';

/** Short, so that nobody waits long for the seat of a replica that died. A living one renews its lease in time. */
export const TTL_MS = 2_000;

@Injectable()
export class SeatsService {
  constructor(private readonly store: SeatStore) {}

  /**
   * One buyer at a time for each seat, whichever replica was asked. The others stand in line, and after 250 ms
   * they are told 409; try another `wait`, or `onBusy`.
   */
  @Locked('seat:<seatId>', { ttl: TTL_MS, wait: '250ms' })
  async sell(seatId: string, order: Order): Promise<Ticket> {
    return this.readPayWrite(seatId, order);
  }

  /** Read, wait, write: whoever else reads during the wait sees a free seat, and sells it again. */
  protected async readPayWrite(seatId: string, order: Order): Promise<Ticket> {
    // No assertHeld() before the write, on purpose: a process may be suspended right behind such a check.
    // The store is what cannot be fooled, so it is told the fence; by the read already, or a late write of
    // the holder before could slip in between this read and this write.
    const fence = currentLease()?.fence;
    const owner = await this.store.read(seatId, fence);
    if (owner !== undefined) throw new GoneException(`Seat ${seatId} is sold.`);

    await sleep(order.card.takesMs);
    if (order.card.declined) throw new HttpException('The card was declined.', HttpStatus.PAYMENT_REQUIRED);

    await this.store.write(seatId, order.buyer, fence);
    return { seatId, buyer: order.buyer };
  }
}
