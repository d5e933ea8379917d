/** `npm start`: three replicas, 20 seats, 300 buyers; each seat is sold exactly once. See README.md. */
import 'reflect-metadata';
import { rushes } from './play/buyers.js';
import type { Diary } from './shop/diary.controller.js';
import { embeddedStage } from './play/embedded-stage.js';
import { HELP, readFlags, type Flags } from './play/flags.js';
import type { Turn } from './play/hand-offs.js';
import { seenFromOutside } from './play/outside.js';
import { processStage } from './play/process-stage.js';
import { checkRedis, startRedis } from './play/redis-server.js';
import { GuardedSeatStore } from './shop/seat-store.js';
import { secondAct } from './play/second-act.js';
import { BUYERS, ROWS, VIP } from './play/hall.js';
import { Cleanup, type Replica, type Stage } from './play/stage.js';
import { heading, Summary } from './play/summary.js';

const LONGEST_RUN_MS = 26_000;
const LONGEST_CLEANUP_MS = 4_000;

// The reader of `npm start | head` leaves early; what is started has to be cleaned up all the same.
process.stdout.on('error', () => undefined);

const flags = readFlags(process.argv.slice(2));
if (flags === 'help') {
  console.log(HELP);
} else if ('problem' in flags) {
  console.error(`${flags.problem}\n\n${HELP}`);
  process.exitCode = 2;
} else {
  await run(flags);
}

/** Plays the piece and clears the stage, whatever happens. */
async function run(flags: Flags): Promise<void> {
  const cleanup = new Cleanup();
  let problems: readonly string[];
  try {
    problems = await Promise.race([play(flags, cleanup), interruption()]);
  } catch (error) {
    problems = [error instanceof Error ? error.message : String(error)];
  }
  setTimeout(() => process.exit(1), LONGEST_CLEANUP_MS).unref();
  await cleanup.run();
  console.log('');
  for (const problem of problems) console.error(`✘ ${problem.replace(/\.?$/, '.')}`);
  if (problems.length === 0) console.log('✔ Every seat was sold exactly once.');
  process.exit(problems.length === 0 ? process.exitCode : 1);
}

/** Rejects when somebody presses Ctrl-C, or when something hangs. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => reject(new Error(`Stopped by ${signal}`)));
    }
    const hanging = new Error(
      `Not finished after ${LONGEST_RUN_MS / 1_000} s: something hangs, or the machine is very busy`,
    );
    setTimeout(() => reject(hanging), LONGEST_RUN_MS).unref();
  });
}

/** @returns what went wrong, in sentences */
async function play({ backend, url, locked }: Flags, cleanup: Cleanup): Promise<readonly string[]> {
  const store = new GuardedSeatStore();
  const stage =
    backend === 'memory'
      ? await embeddedStage(store, locked, cleanup)
      : await processStage(await redisAt(url, cleanup), store, locked, cleanup);

  console.log(`Ticket shop: 3 replicas, ${ROWS.flat().length} seats, ${BUYERS} buyers (${stage.title})`);
  console.log(`\n${heading(`First act: row by row${locked ? '' : ', no lock'}`)}`);
  const summary = await firstAct(stage, store);
  if (!locked || summary.problems().length > 0) return summary.problems();

  console.log('\nSecond act: accidents, while a replica holds a lock');
  const problems = await Promise.all(
    stage.accidents.map((accident, index) =>
      secondAct(accident, `${VIP}-${index + 1}`, stage.replicas[0], store),
    ),
  );
  return problems.filter((problem) => problem !== undefined);
}

async function redisAt(url: string | undefined, cleanup: Cleanup): Promise<string> {
  if (url === undefined) return startRedis(cleanup);
  await checkRedis(url);
  return url;
}

async function firstAct({ replicas }: Stage, store: GuardedSeatStore): Promise<Summary> {
  const summary = new Summary(store);
  await rushes(replicas, {
    opened: () => summary.openRow(),
    answered: (answer, row) => {
      summary.count(answer);
      if (process.stdout.isTTY) process.stdout.write(`\r${summary.row(row)}`);
    },
    closed: (row) => console.log(`${process.stdout.isTTY ? '\r' : ''}${summary.row(row)}`),
  });
  const turns = await Promise.all(replicas.map(turnsOf));
  console.log('');
  for (const line of summary.lines(turns.flat())) console.log(line);
  for (const line of await seenFromOutside(replicas)) console.log(line);
  return summary;
}

async function turnsOf({ name, url }: Replica): Promise<Turn[]> {
  const { turns } = (await (await fetch(`${url}/diary`)).json()) as Diary;
  return turns.map(({ key, fence, waitedMs }) => ({
    replica: name,
    seatId: key.replace('seat:', ''),
    fence: BigInt(fence),
    waitedMs,
  }));
}
