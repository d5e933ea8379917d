/** `npm start -- 02-nightly-report`: four replicas, four jobs, each second. See README.md. */
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFlags } from '../01-ticket-shop/play/flags.js';
import { checkRedis, startRedis } from '../01-ticket-shop/play/redis-server.js';
import { Cleanup } from '../01-ticket-shop/play/stage.js';
import { embeddedStage } from './play/embedded-stage.js';
import { processStage } from './play/process-stage.js';
import type { Chronicle, Replica, Stage } from './play/stage.js';
import { Summary } from './play/summary.js';
import { nowMs } from './report/happening.js';

const HELP = `npm start -- 02-nightly-report [flags]

  --backend memory|redis   memory (default): four applications in one process, no server;
                           redis: four processes, and a redis-server that is started for them
  --url redis://…          a redis-server that runs already; implies --backend redis
  --help                   print this`;

const NAMES = ['replica-1', 'replica-2', 'replica-3', 'replica-4'];
const LONGEST_RUN_MS = 45_000;
const LONGEST_CLEANUP_MS = 5_000;
const LONGEST_ELECTION_MS = 10_000;

// The reader of `npm start | head` leaves early; what is started has to be cleaned up all the same.
process.stdout.on('error', () => undefined);

const flags = readFlags(process.argv.slice(2));
if (flags === 'help') {
  console.log(HELP);
} else if ('problem' in flags) {
  console.error(`${flags.problem}\n\n${HELP}`);
  process.exitCode = 2;
} else {
  const cleanup = new Cleanup();
  let problems: readonly string[];
  try {
    problems = await Promise.race([play(flags.backend, flags.url, cleanup), interruption()]);
  } catch (error) {
    problems = [error instanceof Error ? error.message : String(error)];
  }
  setTimeout(() => process.exit(1), LONGEST_CLEANUP_MS).unref();
  await cleanup.run();
  console.log('');
  for (const problem of problems) console.error(`✘ ${problem.replace(/\.?$/, '.')}`);
  if (problems.length === 0) console.log('✔ Every tick ran exactly once.');
  process.exit(problems.length === 0 ? process.exitCode : 1);
}

/** Rejects when somebody presses Ctrl-C, or when something hangs. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => reject(new Error(`Stopped by ${signal}`)));
    }
    const hanging = new Error(`Not finished after ${LONGEST_RUN_MS / 1_000} s: the machine is very busy`);
    setTimeout(() => reject(hanging), LONGEST_RUN_MS).unref();
  });
}

/** @returns what went wrong, in sentences */
async function play(
  backend: 'memory' | 'redis',
  url: string | undefined,
  cleanup: Cleanup,
): Promise<readonly string[]> {
  const chronicle: Chronicle = [];
  const stage =
    backend === 'memory'
      ? await embeddedStage(NAMES, chronicle, cleanup)
      : await processStage(await redisAt(url, cleanup), NAMES, chronicle, cleanup);
  console.log(`Nightly report: 4 replicas, 4 jobs each second (${stage.title})\n`);

  await nextLeader(chronicle, 0);
  const first = await between();
  await sleep(3_000);
  await replace('resigns', (leader) => leader.resign(), stage, chronicle);
  await sleep(3_000);
  await replace(stage.accident, (leader) => leader.strike(), stage, chronicle);
  await sleep(3_000);
  const last = await between();

  const ticks = Array.from({ length: last - first }, (_, index) => first + 1 + index);
  const summary = new Summary(chronicle, ticks);
  console.log('');
  for (const line of summary.lines()) console.log(line);
  return summary.problems;
}

async function redisAt(url: string | undefined, cleanup: Cleanup): Promise<string> {
  if (url === undefined) return startRedis(cleanup);
  await checkRedis(url);
  return url;
}

/** In the middle between two ticks, so that nothing happens to a run while it is made. */
async function between(): Promise<number> {
  await sleep(1_000 - (Date.now() % 1_000) + 500);
  return Math.floor(Date.now() / 1_000);
}

async function replace(
  what: string,
  act: (leader: Replica) => unknown,
  { replicas }: Stage,
  chronicle: Chronicle,
): Promise<void> {
  const elections = chronicle.filter((entry) => entry.what === 'elected');
  const leader = replicas.find(({ name }) => name === elections.at(-1)?.replica);
  if (!leader) throw new Error('Nobody leads');
  await between();
  const fromMs = nowMs();
  void act(leader);
  const next = await nextLeader(chronicle, elections.length);
  console.log(
    `  ${leader.name} leads, and ${what}: ${next.replica} leads after ${Math.round(next.atMs - fromMs)} ms`,
  );
}

async function nextLeader(chronicle: Chronicle, before: number): Promise<Chronicle[number]> {
  const endMs = nowMs() + LONGEST_ELECTION_MS;
  for (;;) {
    const next = chronicle.filter((entry) => entry.what === 'elected')[before];
    if (next) return next;
    if (nowMs() > endMs) throw new Error(`Nobody was elected within ${LONGEST_ELECTION_MS} ms`);
    await sleep(5);
  }
}
