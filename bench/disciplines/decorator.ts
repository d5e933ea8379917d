import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Locked, LockModule, LockService } from 'nestjs-interlock';
import { median } from '../stats.js';
import { spreadColumns, turnsOf } from './columns.js';
import type { Discipline, Entry } from './discipline.js';

@Injectable()
class Seats {
  private sold = 0;

  constructor(private readonly locks: LockService) {}

  @Locked('seat:<seatId>')
  byDecorator(seatId: string): Promise<number> {
    return this.sell(seatId);
  }

  byUsing(seatId: string): Promise<number> {
    return this.locks.using(`seat:${seatId}`, () => this.sell(seatId));
  }

  private sell(_seatId: string): Promise<number> {
    return Promise.resolve(++this.sold);
  }
}

@Module({ imports: [LockModule.forRoot()], providers: [Seats] })
class Shop {}

export const decorator: Discipline = {
  name: 'decorator',
  title: 'A locked method, on the memory backend',
  turns: 4,
  columns: spreadColumns('µs/call', 2),
  bars: [
    {
      title: '@Locked beyond using, µs a call',
      digits: 2,
      figure(results) {
        const using = turnsOf('using', results);
        return median(turnsOf('@Locked', results).map((us, turn) => us - (using[turn] ?? NaN)));
      },
      side: 'at most',
      limit: 10,
    },
  ],
  entries: [
    entry('using', (seats, id) => seats.byUsing(id)),
    entry('@Locked', (seats, id) => seats.byDecorator(id)),
  ],
};

function entry(name: string, call: (seats: Seats, id: string) => Promise<number>): Entry {
  return {
    name,
    async measure(rig) {
      const app = await NestFactory.createApplicationContext(Shop, { logger: false });
      const seats = app.get(Seats);
      const times = rig.size(1000);
      await callOften(seats, call, times);
      const startedAt = performance.now();
      await callOften(seats, call, times);
      const tookMs = performance.now() - startedAt;
      await app.close();
      return { values: [(tookMs * 1000) / times], calls: 0, acquisitions: times };
    },
  };
}

async function callOften(
  seats: Seats,
  call: (seats: Seats, id: string) => Promise<number>,
  times: number,
): Promise<void> {
  for (let time = 0; time < times; time++) await call(seats, `A${time}`);
}
