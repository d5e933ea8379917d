import { DEFAULT_GROUP } from '../leadership/leadership-settings.js';
import { electionListener, type ElectionListenerOptions } from './election-listener.js';

/**
 * Calls a method of a provider each time this replica is elected, with the `Leadership`: its group, its term, and a
 * signal that lives as long as it does. What the method throws is logged, and the leadership goes on. It may work for as
 * long as it leads, and should end when the signal aborts.
 *
 * @example
 * @OnElected('reports')
 * async open({ term, signal }: Leadership) {}
 */
export function OnElected(
  group: string = DEFAULT_GROUP,
  options: ElectionListenerOptions = {},
): MethodDecorator {
  return electionListener('@OnElected', 'on-elected', group, options);
}
