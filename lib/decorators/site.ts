/** A decorated method as messages name it: `Seats.sell`, `Seats.static sell`, `Seats[Symbol(sell)]`. */
export function siteOf(target: object, property: string | symbol): string {
  const isStatic = typeof target === 'function';
  const { name } = (isStatic ? target : target.constructor) as { readonly name?: string };
  const owner = name === undefined || name === '' ? '(anonymous class)' : name;
  if (typeof property === 'symbol') return `${owner}[${String(property)}]`;
  return `${owner}.${isStatic ? 'static ' : ''}${property}`;
}
