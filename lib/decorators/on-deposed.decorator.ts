import { DEFAULT_GROUP } from '../leadership/leadership-settings.js';
import { electionListener, type ElectionListenerOptions } from './election-listener.js';

/**
 * Calls a method of a provider once for each time that this replica was elected, when that leadership is over: resigned,
 * lost, or at the end of the application. The lock is given back when it has finished, or after `stepDownTimeout`.
 *
 * @example
 * @OnDeposed('reports')
 * async close({ term }: Leadership) {}
 */
export function OnDeposed(
  group: string = DEFAULT_GROUP,
  options: ElectionListenerOptions = {},
): MethodDecorator {
  return electionListener('@OnDeposed', 'on-deposed', group, options);
}
