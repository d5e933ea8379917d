import type { ActorPlan, Contestant } from './contestant.js';

export async function openIncumbent(plan: ActorPlan): Promise<Contestant> {
  throw new Error(`There is no library ${plan.library}.`);
}
