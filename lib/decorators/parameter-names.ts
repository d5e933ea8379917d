/**
 * The parameters of a function, in order, as its source text names them; `undefined` for one that has no name
 * of its own, like `{ id }`. Null when the text does not show them, as for native functions.
 */
export interface Parameters {
  readonly names: readonly (string | undefined)[];
  /** The position of `...rest`, which takes all arguments from there on. */
  readonly rest: number | undefined;
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/u;
const LONE_ARROW = /^(?:async\s+)?([\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*)\s*=>/u;
const OPENING = '([{';
const CLOSING = ')]}';

/** Reads the source text of a function; it must be the function as written, not a wrapper around it. */
export function parametersOf(fn: (...args: never[]) => unknown): Parameters | null {
  const source = withoutComments(Function.prototype.toString.call(fn)).trim();
  if (/\{\s*\[native code\]\s*\}$/.test(source)) return null;
  const lone = LONE_ARROW.exec(source);
  if (lone) return { names: [lone[1]], rest: undefined };
  const pieces = firstParentheses(source);
  return pieces && nameAll(pieces);
}

function nameAll(pieces: readonly string[]): Parameters {
  let rest: number | undefined;
  const names = pieces.map((piece, index) => {
    const text = piece.trim();
    if (text.startsWith('...')) rest = index;
    return IDENTIFIER.exec(text.replace(/^\.\.\.\s*/, ''))?.[0];
  });
  return { names, rest };
}

/** The pieces between the commas of the first parentheses that are not part of a computed method name. */
function firstParentheses(source: string): string[] | null {
  const open = positionOf(source, '(');
  if (open < 0) return null;
  const pieces: string[] = [];
  let start = open + 1;
  for (let depth = 0, at = open + 1; at < source.length;) {
    const char = source.charAt(at);
    if (depth === 0 && (char === ',' || char === ')')) {
      pieces.push(source.slice(start, at));
      start = at + 1;
      // also without a piece behind a trailing comma, and for no parameters at all
      if (char === ')')
        return pieces.filter((piece, index) => index < pieces.length - 1 || piece.trim() !== '');
    }
    if (OPENING.includes(char)) depth++;
    if (CLOSING.includes(char)) depth--;
    at = afterToken(source, at);
  }
  return null;
}

function positionOf(source: string, wanted: string): number {
  for (let depth = 0, at = 0; at < source.length; at = afterToken(source, at)) {
    const char = source.charAt(at);
    if (depth === 0 && char === wanted) return at;
    if (OPENING.includes(char)) depth++;
    if (CLOSING.includes(char)) depth--;
  }
  return -1;
}

/** Comments replaced by a space each; those inside of texts and patterns are none. */
function withoutComments(source: string): string {
  let bare = '';
  for (let at = 0; at < source.length;) {
    const end = source.startsWith('//', at)
      ? endOf(source, '\n', at)
      : source.startsWith('/*', at)
        ? endOf(source, '*/', at + 2)
        : -1;
    if (end >= 0) {
      bare += ' ';
      at = end;
    } else {
      const next = afterToken(source, at);
      bare += source.slice(at, next);
      at = next;
    }
  }
  return bare;
}

function endOf(source: string, mark: string, from: number): number {
  const at = source.indexOf(mark, from);
  return at < 0 ? source.length : at + mark.length;
}

/** Where the next token begins: one character further, or behind a text, template or pattern as a whole. */
function afterToken(source: string, at: number): number {
  const char = source.charAt(at);
  if (char === '"' || char === "'") return afterQuoted(source, at, char);
  if (char === '`') return afterTemplate(source, at);
  if (char === '/' && beginsPattern(source, at)) return afterPattern(source, at);
  return at + 1;
}

function afterQuoted(source: string, at: number, quote: string): number {
  for (let next = at + 1; next < source.length; next++) {
    if (source.charAt(next) === '\\') next++;
    else if (source.charAt(next) === quote) return next + 1;
  }
  return source.length;
}

function afterTemplate(source: string, at: number): number {
  for (let next = at + 1; next < source.length; next++) {
    if (source.charAt(next) === '\\') next++;
    else if (source.charAt(next) === '`') return next + 1;
    else if (source.startsWith('${', next)) next = closingBrace(source, next + 2);
  }
  return source.length;
}

function closingBrace(source: string, from: number): number {
  for (let depth = 0, at = from; at < source.length; at = afterToken(source, at)) {
    const char = source.charAt(at);
    if (char === '}' && depth === 0) return at;
    if (char === '{') depth++;
    if (char === '}') depth--;
  }
  return source.length;
}

/** A slash begins a regular expression where a value is expected, and divides where one has just ended. */
function beginsPattern(source: string, at: number): boolean {
  if (source.charAt(at + 1) === '/' || source.charAt(at + 1) === '*') return false;
  return /(?:^|[=(,:[{;!&|?+\-*%~^<>]|\b(?:return|typeof|void|in|of))\s*$/.test(
    source.slice(Math.max(0, at - 40), at),
  );
}

function afterPattern(source: string, at: number): number {
  let inClass = false;
  for (let next = at + 1; next < source.length; next++) {
    const char = source.charAt(next);
    if (char === '\\') next++;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '/' && !inClass) return next + 1;
  }
  return source.length;
}
