import type { Contestant } from './contestant.js';

/** Why a contestant cannot take part here; undefined when it can. */
export async function whyAbsent({
  load,
  needs,
}: Pick<Contestant, 'load' | 'needs'>): Promise<string | undefined> {
  try {
    await load();
    return undefined;
  } catch (error) {
    if (needs !== undefined) return `needs ${needs}`;
    return error instanceof Error ? (error.message.split('\n')[0] ?? error.name) : String(error);
  }
}
