/** Work that is asked for piece by piece, in order, and begun ahead of that: so many pieces are under way at a time. */
export class Ahead {
  private readonly begun: Promise<void>[] = [];

  constructor(
    private readonly pieces: readonly (() => Promise<void>)[],
    private readonly atOnce: number,
  ) {}

  /** The result of one piece; those before it have ended, or were never asked for. */
  result(nth: number): Promise<void> {
    const end = Math.min(nth + this.atOnce, this.pieces.length);
    for (let at = nth; at < end; at++) void this.begin(at);
    return this.begin(nth);
  }

  private begin(nth: number): Promise<void> {
    let result = this.begun[nth];
    if (!result) {
      result = this.pieces[nth]?.() ?? Promise.resolve();
      // until somebody asks for it
      result.catch(() => undefined);
      this.begun[nth] = result;
    }
    return result;
  }
}
