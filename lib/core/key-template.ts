import { LockConfigurationError, LockKeyError, show } from './errors.js';

/** One `<head.path>` of a template. */
export interface Placeholder {
  /** As it is written in the template, with its angle brackets. */
  readonly text: string;
  /** An argument's name, or its position in digits. */
  readonly head: string;
  readonly path: readonly string[];
}

/** Where the values of a template come from: what a placeholder's head stands for, at one call. */
export type Lookup = (placeholder: Placeholder) => unknown;

const NAME = /^[\p{ID_Start}$_][\p{ID_Continue}$-]*$/u;
const POSITION = /^(?:0|[1-9]\d{0,2})$/;
/** They lead from a value to its class and its prototype, where no key is to be found. */
const NO_SEGMENTS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
/** In values they always become %HH, so that a value cannot look like another template's literal part. */
const ALWAYS_ESCAPED = ['%', ':', '/'];

/**
 * A key with places for values: `seat:<seatId>`, `order:<order.id>:<0>`. Parsed once, at the definition of a
 * class, so that a wrong one is found when the application is loaded.
 *
 * Two calls make the same key only if they have the same text for each placeholder: in values `%`, `:`, `/`
 * and every sign that stands between two placeholders are percent-encoded; all else is kept as it is.
 */
export class KeyTemplate {
  readonly placeholders: readonly Placeholder[];
  /** The fixed parts, one more than there are placeholders. */
  private readonly literals: readonly string[];
  private readonly escaped: ReadonlySet<string>;

  /**
   * @param site whose template it is, for messages: `Seats.sell`
   * @throws LockConfigurationError when the text is no template
   */
  constructor(
    readonly text: string,
    private readonly site: string,
  ) {
    const { literals, placeholders } = parse(text, site);
    this.literals = literals;
    this.placeholders = placeholders;
    const between = literals.slice(1, -1);
    for (const separator of between) refuseWeakSeparator(separator, text, site);
    this.escaped = new Set([
      ...ALWAYS_ESCAPED,
      ...between
        .join('')
        .replace(/[A-Za-z0-9]/g, '')
        .split(''),
    ]);
  }

  /**
   * The key for the values of one call.
   *
   * @throws LockKeyError when a value cannot be part of a key
   */
  fill(lookup: Lookup): string {
    let key = this.literals[0] ?? '';
    this.placeholders.forEach((placeholder, index) => {
      const value = this.follow(placeholder, lookup(placeholder));
      key += this.escape(this.textOf(placeholder, value)) + (this.literals[index + 1] ?? '');
    });
    return key;
  }

  private follow(placeholder: Placeholder, start: unknown): unknown {
    let value = start;
    let reached = placeholder.head;
    for (const segment of placeholder.path) {
      if (typeof value !== 'object' || value === null) {
        throw this.refusal(placeholder, `${reached} is ${show(value)}, which has no ${show(segment)}`);
      }
      value = (value as Record<string, unknown>)[segment];
      reached += `.${segment}`;
    }
    return value;
  }

  private textOf(placeholder: Placeholder, value: unknown): string {
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
    if (typeof value === 'number' && Number.isFinite(value)) return String(value);
    const hint =
      value instanceof Date ? ' (a Date; say which part of it counts, by a function as the key)' : '';
    const shown = value === '' ? 'an empty text' : show(value);
    throw this.refusal(placeholder, `${placeholder.text} is ${shown}${hint}`);
  }

  private escape(value: string): string {
    let text = '';
    for (let index = 0; index < value.length; index++) {
      const unit = value.charAt(index);
      text += this.escaped.has(unit) ? encode(unit) : unit;
    }
    return text;
  }

  private refusal(placeholder: Placeholder, what: string): LockKeyError {
    return new LockKeyError(
      `${this.site} has no key for "${this.text}": ${what}. A ${placeholder.text} must be a text that is not empty, a finite number, a bigint or a boolean. Nothing has run.`,
      { key: this.text },
    );
  }
}

function encode(unit: string): string {
  const code = unit.charCodeAt(0);
  const hex = code.toString(16).toUpperCase();
  return code < 0x80 ? `%${hex.padStart(2, '0')}` : `%u${hex.padStart(4, '0')}`;
}

function parse(text: string, site: string): { literals: string[]; placeholders: Placeholder[] } {
  if (text === '') {
    throw new LockConfigurationError(
      `${site} has an empty key; name what is to be locked, like 'order:<id>'.`,
    );
  }
  const literals: string[] = [];
  const placeholders: Placeholder[] = [];
  let rest = text;
  for (let match = /<([^<>]*)>/.exec(rest); match; match = /<([^<>]*)>/.exec(rest)) {
    literals.push(rest.slice(0, match.index));
    placeholders.push(placeholderOf(match[1] ?? '', text, site));
    rest = rest.slice(match.index + match[0].length);
  }
  literals.push(rest);
  if (literals.some((literal) => /[<>]/.test(literal))) {
    throw new LockConfigurationError(
      `The key "${text}" of ${site} has a "<" or ">" without its counterpart; they enclose placeholders, like in 'order:<id>'.`,
    );
  }
  return { literals, placeholders };
}

function placeholderOf(inside: string, text: string, site: string): Placeholder {
  const [head = '', ...path] = inside.split('.');
  const wrong = path.find((segment) => NO_SEGMENTS.has(segment));
  if (wrong !== undefined || NO_SEGMENTS.has(head)) {
    throw new LockConfigurationError(
      `<${inside}> in the key "${text}" of ${site} goes through ${wrong ?? head}, which belongs to the class and not to the value; name a property of the value.`,
    );
  }
  if ((NAME.test(head) || POSITION.test(head)) && path.every((segment) => /^[^\s]+$/.test(segment))) {
    return { text: `<${inside}>`, head, path };
  }
  throw new LockConfigurationError(
    `<${inside}> in the key "${text}" of ${site} is no placeholder; write <name>, <name.path>, <0> or <0.path>.`,
  );
}

/** `<a><b>` would make one key of ('x', 'yz') and ('xy', 'z'), and so would a separator that values may contain. */
function refuseWeakSeparator(separator: string, text: string, site: string): void {
  if (/[^A-Za-z0-9%]/.test(separator)) return;
  const what = separator === '' ? 'nothing' : `only "${separator}"`;
  throw new LockConfigurationError(
    `The key "${text}" of ${site} has ${what} between two placeholders, so different values could make the same key; separate them by a sign, like in '<a>:<b>'.`,
  );
}
