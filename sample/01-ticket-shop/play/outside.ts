import type { Replica } from './stage.js';

/** What somebody who runs the replicas sees of them. */
export async function seenFromOutside(replicas: readonly Replica[]): Promise<string[]> {
  const health = await Promise.all(replicas.map(healthOf));
  const taken = await Promise.all(replicas.map((replica) => acquisitionsOf(replica, 'acquired')));
  const refused = await Promise.all(replicas.map((replica) => acquisitionsOf(replica, 'busy')));
  return [
    `  ${'GET /health'.padEnd(20)}${health.join(', ')}`,
    `  ${'GET /metrics'.padEnd(20)}${sum(taken)} locks taken, ${sum(refused)} found busy`,
  ];
}

async function healthOf({ url }: Replica): Promise<string> {
  const { details } = (await (await fetch(`${url}/health`)).json()) as {
    details: { locks: { status: string } };
  };
  return details.locks.status;
}

async function acquisitionsOf({ url }: Replica, outcome: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('interlock_acquisitions_total{'));
  return sum(
    lines
      .filter((line) => line.includes(`interlock_outcome="${outcome}"`))
      .map((line) => Number(/\} (\d+)/.exec(line)?.[1])),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
