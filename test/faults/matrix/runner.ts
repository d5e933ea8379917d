import { CELLS, type Cell } from './cells.js';
import { Company } from './company.js';
import type { Invariant, Letter } from './fault-table.js';
import { nowMs } from './monotonic.js';
import { Resource } from './resource.js';
import { Stage, within, type Blame } from './stage.js';
import { Starvation } from './starvation.js';
import { judge } from './verdict.js';
import type { World } from './world.js';
import { WORLDS } from './worlds.js';

/** Cells mostly wait, so this many worlds of a kind are played in side by side. */
const LANES: Readonly<Partial<Record<Letter, number>>> = { M: 1, R: 2, S: 2, C: 2, P: 1, Y: 1 };
/** A run that takes longer hangs. */
const RUN_LIMIT_MS = 120_000;
/** What is never right, whether the table names it or not. */
const ALWAYS: readonly Invariant[] = ['I7'];

export interface Order {
  readonly cells: readonly Cell[];
  readonly runs: number;
  readonly seed: number;
  readonly library?: string;
  /** See mutants.ts. */
  readonly mutant?: string;
  /** Ends the whole when it says so. */
  readonly isEnough?: (run: Run) => boolean;
  readonly onRun?: (run: Run) => void;
}

/** One run of a cell, judged. */
export interface Run {
  readonly cell: Cell;
  readonly nth: number;
  readonly ms: number;
  readonly violations: readonly string[];
  readonly figures: ReadonlyMap<string, number>;
}

interface Task {
  readonly cell: Cell;
  readonly nth: number;
}

/** Plays cells, several worlds side by side, each used for one run after the other. */
export async function play(order: Order): Promise<Run[]> {
  await using resource = await Resource.start();
  const lanes: Lane[] = [];
  using starvation = new Starvation(() => lanes.flatMap((lane) => lane.pids()));
  const runs: Run[] = [];
  const letters = [...new Set(order.cells.map(({ letter }) => letter))];
  let isOver = false;
  const done = (run: Run): void => {
    runs.push(run);
    order.onRun?.(run);
    isOver ||= order.isEnough?.(run) === true;
  };
  await Promise.all(
    letters.flatMap((letter) => {
      const tasks = tasksOf(
        order.cells.filter((cell) => cell.letter === letter),
        order.runs,
      );
      const count = Math.min(LANES[letter] ?? 1, tasks.length);
      const next = (): Task | undefined => (isOver ? undefined : tasks.shift());
      return Array.from({ length: count }, (_, at) => {
        const lane = new Lane(`${letter}${at}`, letter, order, resource, starvation);
        lanes.push(lane);
        return lane.work(next, done);
      });
    }),
  );
  return runs.sort(
    (one, other) => CELLS.indexOf(one.cell) - CELLS.indexOf(other.cell) || one.nth - other.nth,
  );
}

function tasksOf(cells: readonly Cell[], runs: number): Task[] {
  return Array.from({ length: runs }, (_, nth) => cells.map((cell) => ({ cell, nth }))).flat();
}

/** One world and its actors. */
class Lane {
  private world: World | undefined;
  private company: Company | undefined;
  private stage: Stage | undefined;

  constructor(
    private readonly name: string,
    private readonly letter: Letter,
    private readonly order: Order,
    private readonly resource: Resource,
    private readonly starvation: Starvation,
  ) {}

  pids(): readonly number[] {
    const staff = this.stage?.everybody ?? [];
    return [...staff.map(({ pid }) => pid), ...(this.world?.pids() ?? [])];
  }

  async work(next: () => Task | undefined, done: (run: Run) => void): Promise<void> {
    try {
      for (let task = next(); task; task = next()) done(await this.run(task));
    } finally {
      await this.close();
    }
  }

  private async run({ cell, nth }: Task): Promise<Run> {
    const startMs = nowMs();
    const [world, company] = await this.open();
    const stem = `${cell.name}.${nth}`;
    const seed = seedOf(this.order.seed, cell, nth);
    const stage = new Stage(world, company, this.starvation, stem, nth, seed);
    const broken: string[] = [];
    const isPlayed = await within(
      RUN_LIMIT_MS,
      this.playOn(stage, cell).then(() => true),
    ).catch(
      (error: unknown) => void broken.push(`could not be played: ${String((error as Error).stack ?? error)}`),
    );
    if (!isPlayed && broken.length === 0) broken.push(`took longer than ${RUN_LIMIT_MS} ms`);
    if (broken.length > 0 || cell.play.ruins) await this.close();
    const figures = stage.figures;
    const violations = [
      ...broken,
      ...counted(cell, stage.blames).map(({ invariant, text }) => `${invariant} ${text}`),
    ];
    return { cell, nth, ms: nowMs() - startMs, violations, figures };
  }

  private async playOn(stage: Stage, cell: Cell): Promise<void> {
    this.stage = stage;
    await stage.enter(cell.play.actors);
    await cell.play.act(stage);
    await stage.goHome();
    await stage.world.heal();
    if (cell.fault.holds.includes('I5')) await stage.lookForLeaks();
    await judge(stage, this.resource);
    await stage.leave();
    await stage.company.dismissExtras();
  }

  private async open(): Promise<[World, Company]> {
    this.world ??= await WORLDS[this.letter]?.();
    if (!this.world) throw new Error(`There is no world ${this.letter}.`);
    const { library, mutant } = this.order;
    this.company ??= new Company(this.world, this.name, this.resource.port, library, mutant);
    return [this.world, this.company];
  }

  private async close(): Promise<void> {
    const { world, company } = this;
    this.world = this.company = undefined;
    this.stage = undefined;
    await company?.stop();
    await world?.stop();
  }
}

function counted({ fault }: Cell, blames: readonly Blame[]): Blame[] {
  return blames.filter(({ invariant }) => fault.holds.includes(invariant) || ALWAYS.includes(invariant));
}

function seedOf(seed: number, cell: Cell, nth: number): number {
  let hash = seed;
  for (const letter of `${cell.name}.${nth}`) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0;
  return hash;
}
