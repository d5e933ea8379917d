import { Body, Controller, Param, Post, UseFilters } from '@nestjs/common';
import { LockExceptionFilter } from 'nestjs-interlock';
import { SeatsService } from './seats.service.js';
import type { Order, Ticket } from './order.js';

@Controller('seats')
@UseFilters(LockExceptionFilter)
export class SeatsController {
  constructor(private readonly seats: SeatsService) {}

  @Post(':seatId/buy')
  buy(@Param('seatId') seatId: string, @Body() order: Order): Promise<Ticket> {
    return this.seats.sell(seatId, order);
  }
}
