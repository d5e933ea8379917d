import { Actor } from './actor.js';
import type { ActorPlan } from './contestant.js';
import type { Road } from './road.js';
import type { World } from './world.js';

export const PREFIX = 'faults';

/** The actors of one world, who play one cell after the other. Who died is replaced. */
export class Company {
  private readonly actors = new Map<number, Promise<Actor>>();
  private readonly extras = new Set<Actor>();
  private born = 0;

  constructor(
    private readonly world: World,
    private readonly name: string,
    private readonly resourcePort: number,
    readonly library = 'interlock',
    private readonly mutant?: string,
  ) {}

  /** So many who can play; where all is in one process, it is the same one. */
  async cast(count: number): Promise<Actor[]> {
    for (const [at, actor] of this.actors) if (!(await actor).alive) this.actors.delete(at);
    const seats = Array.from({ length: count }, (_, at) => (this.world.isOneProcess ? 0 : at));
    for (const seat of new Set(seats)) if (!this.actors.has(seat)) this.actors.set(seat, this.start());
    const all = await Promise.all(this.actors.values());
    const cast = await Promise.all(seats.map(async (seat) => this.actors.get(seat) as Promise<Actor>));
    if (all.some(({ isFrozen }) => isFrozen)) throw new Error('somebody is still frozen');
    return cast;
  }

  /** One more, for a single play. */
  async extra(road?: Road): Promise<Actor> {
    const actor = await this.start(road);
    this.extras.add(actor);
    return actor;
  }

  get alive(): Promise<Actor[]> {
    return Promise.all(this.actors.values()).then((actors) => actors.filter(({ alive }) => alive));
  }

  async dismissExtras(): Promise<void> {
    await Promise.all([...this.extras].map((actor) => actor.close()));
    this.extras.clear();
  }

  async stop(): Promise<void> {
    await this.dismissExtras();
    await Promise.all([...this.actors.values()].map(async (actor) => (await actor).kill()));
  }

  private async start(given?: Road): Promise<Actor> {
    const road = given ?? (await this.world.road());
    const { kind } = this.world;
    const plan: ActorPlan = {
      name: `${this.name}-${++this.born}`,
      library: this.library,
      prefix: PREFIX,
      backend: { kind, target: road.target },
      ...(road.careful !== undefined && { careful: { kind, target: road.careful } }),
      resourcePort: this.resourcePort,
      mutant: this.mutant,
    };
    return Actor.start(plan, road);
  }
}
