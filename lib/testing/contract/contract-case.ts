import type { BackendTraits, LockMode } from '../../backends/lock-backend.js';
import type { ClaimedTraits } from './contract-options.js';
import type { Trial } from './trial.js';

export const ALL_MODES: readonly LockMode[] = ['exclusive', 'shared', 'permits'];

/** One thing that a backend must do. */
export interface ContractCase {
  /** Unique, and the same from version to version. */
  readonly id: string;
  /** What it is a part of, like 'waiting'. */
  readonly theme: string;
  /** The full name of the test. */
  readonly name: string;
  /** The numbers of the behaviours that it covers; none when it is a rule of the seam alone. */
  readonly lines: readonly number[];
  /** The modes that it needs; a backend without one of them is ruled out. */
  readonly modes: readonly LockMode[];
  /** Whether a backend with these traits has to pass it. */
  appliesTo(traits: ClaimedTraits): boolean;
}

/** A case that can be run. */
export interface RunnableCase extends ContractCase {
  run(trial: Trial): Promise<void>;
}

interface Definition {
  readonly id: string;
  readonly lines?: readonly number[];
  readonly title: string;
  /** Default: exclusive. */
  readonly modes?: readonly LockMode[];
  /** Default: any. */
  readonly wakeUp?: readonly BackendTraits['wakeUp'][];
  /** Only for backends with the optional `stay`. */
  readonly stay?: boolean;
  /** Only for backends with a lockDelay. */
  readonly delayed?: boolean;
}

/** A case that is run once, and needs all its modes. */
export interface CaseDefinition extends Definition {
  run(trial: Trial): Promise<void>;
}

/** A case that is run in each mode. */
export interface ModalDefinition extends Definition {
  runIn(mode: LockMode, trial: Trial): Promise<void>;
}

/** Builds the cases of one theme. */
export function cases(
  theme: string,
  definitions: readonly (CaseDefinition | ModalDefinition)[],
): RunnableCase[] {
  return definitions.flatMap((definition) =>
    'run' in definition ? [single(theme, definition)] : inEachMode(theme, definition),
  );
}

function single(theme: string, definition: CaseDefinition): RunnableCase {
  const { id, title, lines = [], modes = ['exclusive'] } = definition;
  const name = `${label(lines)} ${title}`;
  return { id, theme, name, lines, modes, ...judge(definition, modes), run: definition.run };
}

function inEachMode(theme: string, definition: ModalDefinition): RunnableCase[] {
  const { id, title, lines = [] } = definition;
  return (definition.modes ?? ALL_MODES).map((mode) => {
    // who is kept out by a reader is a writer
    const modes: LockMode[] = mode === 'shared' ? ['shared', 'exclusive'] : [mode];
    const name = `${label(lines)} ${title} (${mode})`;
    const run = (trial: Trial): Promise<void> => definition.runIn(mode, trial);
    return { id: `${id}/${mode}`, theme, name, lines, modes, ...judge(definition, modes), run };
  });
}

function judge(
  { wakeUp, stay = false, delayed = false }: Definition,
  modes: readonly LockMode[],
): Pick<ContractCase, 'appliesTo'> {
  return {
    appliesTo: (traits) =>
      modes.every((mode) => traits.modes.includes(mode)) &&
      (!wakeUp || wakeUp.includes(traits.wakeUp)) &&
      (!stay || traits.stay === true) &&
      (!delayed || (traits.lockDelayMs ?? 0) > 0),
  };
}

function label(lines: readonly number[]): string {
  return lines.length > 0 ? `[${lines.join(', ')}]` : '[seam]';
}
