import { Controller, Get } from '@nestjs/common';
import { LockService } from 'nestjs-interlock';

/** What one replica has to tell about its locks, as JSON. */
export interface Diary {
  /** Each time that it got a lock. */
  readonly turns: { readonly key: string; readonly fence: string; readonly waitedMs: number }[];
  /** Each time that it was told to have lost one. */
  readonly losses: { readonly key: string; readonly fence: string; readonly reason: string }[];
}

/** Everything that happens to the locks of a replica is in `events$`: for metrics, logs, or a summary like ours. */
@Controller('diary')
export class DiaryController {
  private readonly diary: Diary = { turns: [], losses: [] };

  constructor(locks: LockService) {
    locks.events$.subscribe((event) => {
      if (event.type === 'acquired') {
        const { key, fence, waitedMs } = event;
        this.diary.turns.push({ key, fence: fence.toString(), waitedMs });
      } else if (event.type === 'lost') {
        const { key, fence, reason } = event;
        this.diary.losses.push({ key, fence: fence.toString(), reason });
      }
    });
  }

  @Get()
  read(): Diary {
    return this.diary;
  }
}
