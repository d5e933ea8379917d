/** `npm start`: three replicas, 20 seats, 300 buyers; each seat is sold exactly once. See README.md. */
import 'reflect-metadata';
import { rushes } from './buyers.js';
import type { Diary } from './diary.js';
import { embeddedStage } from './embedded-stage.js';
import { HELP, readFlags, type Flags } from './flags.js';
import type { Turn } from './hand-offs.js';
import { processStage } from './process-stage.js';
import { startRedis } from './redis-server.js';
import { GuardedSeatStore } from './seat-store.js';
import { secondAct } from './second-act.js';
import { BUYERS, ROWS, VIP } from './shop.js';
import { Cleanup, type Replica, type Stage } from './stage.js';
import { Summary } from './summary.js';

const LONGEST_RUN_MS = 25_000;

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
  const breakOff = async (why: string, code: number): Promise<void> => {
    console.error(`\n${why} Cleaning up.`);
    await cleanup.run();
    process.exit(code);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void breakOff(`Stopped by ${signal}.`, 130));
  }
  setTimeout(() => void breakOff('This takes too long, so something hangs.', 1), LONGEST_RUN_MS).unref();

  let problems: readonly string[];
  try {
    problems = await play(flags, cleanup);
  } catch (error) {
    problems = [error instanceof Error ? error.message : String(error)];
  }
  await cleanup.run();
  console.log('');
  for (const problem of problems) console.error(`✘ ${problem}.`);
  if (problems.length > 0) process.exitCode = 1;
  else console.log('✔ Every seat was sold exactly once.');
}

/** @returns what went wrong, in sentences */
async function play({ backend, url, locked }: Flags, cleanup: Cleanup): Promise<readonly string[]> {
  const store = new GuardedSeatStore();
  const stage =
    backend === 'memory'
      ? await embeddedStage(store, locked, cleanup)
      : await processStage(url ?? (await startRedis(cleanup)), store, locked, cleanup);

  console.log(`Ticket shop: 3 replicas, ${ROWS.flat().length} seats, ${BUYERS} buyers (${stage.title})`);
  console.log(
    locked
      ? '\nA row after the other goes on sale'
      : '\nA row after the other goes on sale, without the lock',
  );
  const summary = await firstAct(stage, store);
  if (!locked || summary.problems().length > 0) return summary.problems();

  console.log('\nSecond act: accidents, while a replica holds the lock of a seat');
  const problems = await Promise.all(
    stage.accidents.map((accident, index) =>
      secondAct(accident, `${VIP}-${index + 1}`, stage.replicas[0], store),
    ),
  );
  return problems.filter((problem) => problem !== undefined);
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
