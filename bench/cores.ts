import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Of the machine; read before anything is bound, because a bound process sees only its own. */
const CORES = availableParallelism();

/**
 * Gives the server a core of its own, where the system can do that. Servers are elsewhere. Where client and server share
 * a core, no time is lost by waking each other up, all that counts is who computes less, and whether they share one
 * would be up to the scheduler, anew for each run.
 */
export function setApart(serverProcessId: number): boolean {
  if (CORES < 2) return false;
  return bind(serverProcessId, `${CORES - 1}`) && bind(process.pid, `0-${CORES - 2}`);
}

/**
 * Lets a process of the bench have all cores, that of the server as well. Processes that wake each other up through the
 * server would else take turns on what is left: replicas of an application do not share a core.
 */
export function spread(processId: number): void {
  bind(processId, `0-${CORES - 1}`);
}

function bind(processId: number, cores: string): boolean {
  const args = ['--all-tasks', '--pid', '--cpu-list', cores, String(processId)];
  try {
    execFileSync('taskset', args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
