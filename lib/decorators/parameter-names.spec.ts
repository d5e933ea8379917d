import { describe, expect, it } from '@jest/globals';
import { runInThisContext } from 'node:vm';
import { parametersOf } from './parameter-names.js';

type Fn = (...args: never[]) => unknown;

/** A function with just this source text, whatever the compiler of the tests would make of it. */
const written = (source: string): Fn => runInThisContext(`(${source})`) as Fn;
const method = (source: string): Fn => {
  const holder = written(`{ ${source} }`) as unknown as object;
  const [key = ''] = Reflect.ownKeys(holder);
  return Reflect.get(holder, key) as Fn;
};
const names = (fn: Fn): unknown => parametersOf(fn)?.names;

describe('the parameters of a function are read from', () => {
  it.each([
    ['a() {}', []],
    ['a( ) {}', []],
    ['a(/* none */) {}', []],
    ['a(x) {}', ['x']],
    ['a(x, y,) {}', ['x', 'y']],
    ['a(\n  x,\n  y,\n) {}', ['x', 'y']],
    ['async a(x) {}', ['x']],
    ['*a(x) {}', ['x']],
    ['async *a(x, y) {}', ['x', 'y']],
    ['async(x) {}', ['x']],
    ['get(x) {}', ['x']],
    ['static(x) {}', ['x']],
    ['"quoted (name"(x) {}', ['x']],
    ['[`computed ${"(a, b)"}`](x) {}', ['x']],
    ['[(() => Symbol("()"))()](x) {}', ['x']],
    ['12(x) {}', ['x']],
  ])('the method %s', (source, expected) => {
    expect(names(method(source))).toEqual(expected);
  });

  it.each([
    ['function (x, y) {}', ['x', 'y']],
    ['async function a(x) {}', ['x']],
    ['function* a(x) {}', ['x']],
    ['x => x', ['x']],
    ['async x => x', ['x']],
    ['async => async', ['async']],
    ['(x, y) => x', ['x', 'y']],
    ['async (x) => (x, 1)', ['x']],
    ['() => (1, 2)', []],
  ])('the function %s', (source, expected) => {
    expect(names(written(source))).toEqual(expected);
  });

  it.each([
    ['a(x = 1, y = "," , z) {}', ['x', 'y', 'z']],
    ['a(x = ")", y) {}', ['x', 'y']],
    ["a(x = '\\')', y) {}", ['x', 'y']],
    ['a(x = `(${"`"})${`,${1}`}`, y) {}', ['x', 'y']],
    ['a(x = (1, 2), y) {}', ['x', 'y']],
    ['a(x = [1, [2, 3]], y) {}', ['x', 'y']],
    ['a(x = { a: 1, b: { c: ")" } }, y) {}', ['x', 'y']],
    ['a(x = (p, q) => p, y) {}', ['x', 'y']],
    ['a(x = function (p, q) { return ")"; }, y) {}', ['x', 'y']],
    ['a(x = /[)/,"]/, y) {}', ['x', 'y']],
    ['a(x = /\\/,\\)/g, y = 4 / 2, z = 1 / 2) {}', ['x', 'y', 'z']],
    ['a(x = 8 / 4 / 2, y) {}', ['x', 'y']],
    ['a(x = class { m(a, b) {} }, y) {}', ['x', 'y']],
  ])('defaults: %s', (source, expected) => {
    expect(names(method(source))).toEqual(expected);
  });

  it.each([
    ['a({ x, y }, z) {}', [undefined, 'z']],
    ['a([x, y], z) {}', [undefined, 'z']],
    ['a({ x: { y }, ...more } = {}, z) {}', [undefined, 'z']],
    ['a(z, { x = ",)" } = { x: 1 }) {}', ['z', undefined]],
  ])('destructuring, which has no name: %s', (source, expected) => {
    expect(names(method(source))).toEqual(expected);
  });

  it.each([
    ['a(x /* , no */, y // )\n, z) {}', ['x', 'y', 'z']],
    ['a(/* first */ x, /** @type {(a, b)} */ y) {}', ['x', 'y']],
    ['a(x = "/* no comment", y = "*/") {}', ['x', 'y']],
    ['a(x = "// no comment", y) {}', ['x', 'y']],
    ['/* (a, b) */ a /* ( */ (x) {}', ['x']],
    ['a(// only a comment\n) {}', []],
  ])('between comments: %s', (source, expected) => {
    expect(names(method(source))).toEqual(expected);
  });

  it.each([
    ['a($, _, été, x1, ñ) {}', ['$', '_', 'été', 'x1', 'ñ']],
    ['a(变量, ℮) {}', ['变量', '℮']],
  ])('unusual names: %s', (source, expected) => {
    expect(names(method(source))).toEqual(expected);
  });

  it('and it says where the rest begins', () => {
    expect(parametersOf(method('a(...all) {}'))).toEqual({ names: ['all'], rest: 0 });
    expect(parametersOf(method('a(x, ... more) {}'))).toEqual({ names: ['x', 'more'], rest: 1 });
    expect(parametersOf(method('a(x, ...[p, q]) {}'))).toEqual({ names: ['x', undefined], rest: 1 });
    expect(parametersOf(method('a(x) {}'))).toEqual({ names: ['x'], rest: undefined });
  });

  it('but not from functions that do not show them', () => {
    expect(parametersOf(Array.prototype.push)).toBeNull();
    expect(parametersOf(((x: unknown) => x).bind(null))).toBeNull();
  });

  it('of a class with many methods, each its own', () => {
    class Seats {
      sell(seatId: string, { buyer }: { buyer: string } = { buyer: '(' }): string {
        return seatId + buyer;
      }

      async refund(this: Seats, seatId: string, ...reasons: string[]): Promise<string> {
        return this.sell(seatId) + reasons.join();
      }
    }
    expect(names(Seats.prototype.sell)).toEqual(['seatId', undefined]);
    expect(parametersOf(Seats.prototype.refund)).toEqual({ names: ['seatId', 'reasons'], rest: 1 });
  });
});
