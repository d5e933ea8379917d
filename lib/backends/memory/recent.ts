/**
 * Names that were added of late, in constant memory and time: two generations, of which the older one is thrown
 * away when the younger one is old enough, or full.
 */
export class Recent {
  private young = new Set<string>();
  private old = new Set<string>();
  private bornAtMs = -Infinity;

  /**
   * @param keepMs each name is remembered for at least that long, and at most twice
   * @param most names a generation; when there are more, they are forgotten sooner
   */
  constructor(
    private readonly keepMs: number,
    private readonly most: number,
  ) {}

  get size(): number {
    return this.young.size + this.old.size;
  }

  add(name: string, nowMs: number): void {
    this.age(nowMs);
    if (this.young.size >= this.most) this.turn(nowMs);
    this.young.add(name);
  }

  has(name: string, nowMs: number): boolean {
    this.age(nowMs);
    return this.young.has(name) || this.old.has(name);
  }

  private age(nowMs: number): void {
    const ageMs = nowMs - this.bornAtMs;
    if (ageMs < this.keepMs) return;
    this.turn(nowMs);
    if (ageMs >= 2 * this.keepMs) this.old.clear();
  }

  private turn(nowMs: number): void {
    this.old = this.young;
    this.young = new Set();
    this.bornAtMs = nowMs;
  }
}
