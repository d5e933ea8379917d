import { Line, type Trap } from './wire.js';

/** Of a notification; all other types are parts of replies. */
const NOTIFICATION = 'A'.charCodeAt(0);
const HEADER_BYTES = 5;
/** How the tables, routines and prepared statements of the locks are called. */
const OURS = /interlock_[a-z]+_/g;

/**
 * A connection to a database. Each statement is answered before the next one is asked, as the pools of `pg` and
 * `mysql2` do it; so whatever comes after a request is its reply. The words of a request are the names in it.
 */
class SqlLine extends Line {
  private awaited: Trap | undefined;

  protected onRequest(chunk: Buffer): void {
    const names = this.namesIn(chunk);
    if (names.length > 0) this.awaited = this.trapFor(names) ?? this.awaited;
    this.requests.send(chunk);
  }

  protected onReply(chunk: Buffer): void {
    const said = this.withoutMessages(chunk);
    if (said.length === 0) return;
    const trap = this.awaited;
    this.awaited = undefined;
    trap?.spring(this);
    if (trap?.fate === 'lose') return this.cut();
    if (trap?.fate === 'hold') this.replies.shut();
    this.replies.send(said);
  }

  protected namesIn(chunk: Buffer): readonly string[] {
    return chunk.toString('latin1').match(OURS) ?? [];
  }

  protected withoutMessages(chunk: Buffer): Buffer {
    return chunk;
  }
}

/** Behind the length and the number of a packet. */
const COMMAND_AT = 4;
const NUMBER_AT = 5;
const PREPARE = 0x16;
const EXECUTE = 0x17;

/** A connection of MySQL or MariaDB, where nobody speaks unasked, and statements that were prepared go by a number. */
export class MysqlLine extends SqlLine {
  private readonly prepared = new Map<number, readonly string[]>();
  private preparing: readonly string[] | undefined;

  protected override namesIn(chunk: Buffer): readonly string[] {
    const names = super.namesIn(chunk);
    if (chunk[COMMAND_AT] === EXECUTE) return this.prepared.get(chunk.readUInt32LE(NUMBER_AT)) ?? [];
    if (chunk[COMMAND_AT] !== PREPARE) return names;
    // nothing is carried out by that
    this.preparing = names;
    return [];
  }

  protected override withoutMessages(chunk: Buffer): Buffer {
    const isDone = this.preparing !== undefined && chunk[COMMAND_AT] === 0;
    if (isDone) this.prepared.set(chunk.readUInt32LE(NUMBER_AT), this.preparing ?? []);
    this.preparing = undefined;
    return chunk;
  }
}

/** A connection of PostgreSQL, on which one may be notified. */
export class PostgresLine extends SqlLine {
  private rest: Buffer = Buffer.alloc(0);

  /** Whole messages of the server only, and without notifications for the deaf. */
  protected override withoutMessages(chunk: Buffer): Buffer {
    this.rest = Buffer.concat([this.rest, chunk]);
    const said: Buffer[] = [];
    while (this.rest.length >= HEADER_BYTES) {
      const end = 1 + this.rest.readUInt32BE(1);
      if (this.rest.length < end) break;
      if (this.wire.deaf && this.rest[0] === NOTIFICATION) this.wire.unheard++;
      else said.push(this.rest.subarray(0, end));
      this.rest = this.rest.subarray(end);
    }
    return Buffer.concat(said);
  }
}
