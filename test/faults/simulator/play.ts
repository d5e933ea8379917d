import { World, type Finding, type Flaws } from './world.js';

/** What was rejected and handled by nobody since the last world began. */
const unhandled: string[] = [];

/** Plays one world; to be called in a process that plays nothing else at the same time. */
export async function play(seed: number, flaws: Flaws = {}, traces = false): Promise<Finding> {
  if (!process.listeners('unhandledRejection').includes(note)) process.on('unhandledRejection', note);
  unhandled.length = 0;
  const finding = await new World(seed, flaws, traces).run();
  // Node tells of them at the end of a turn
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
  if (unhandled.length === 0) return finding;
  const problems = unhandled.map((what) => `I7: nobody handled ${what}`);
  return { ...finding, problems: [...finding.problems, ...problems] };
}

function note(reason: unknown): void {
  unhandled.push(String(reason));
}
