import { identityOf } from '../core/claim.js';
import type { HolderSnapshot, LockSnapshot } from '../backends/lock-backend.js';
import { Locks } from '../core/locks.js';
import type { CommandCall, CommandName } from './command-line.js';
import { msText, table, type Console } from './console.js';
import { doctor } from './doctor.js';
import { backendAt, migrationOf } from './lock-url.js';
import { modeText } from './mode-text.js';
import { watch } from './watch.js';

type Command = (call: CommandCall, console: Console) => Promise<number>;

/** What each command does; resolves with the exit code. */
export const COMMANDS: Readonly<Record<CommandName, Command>> = {
  ls: (call, console) => withLocks(call, (locks) => ls(locks, call.subject, console)),
  inspect: (call, console) => withLocks(call, (locks) => inspect(locks, call.subject ?? '', console)),
  release: (call, console) =>
    withLocks(call, (locks) => release(locks, call.subject ?? '', call.yes, console)),
  watch: (call, console) => withLocks(call, (locks) => watch(locks, call, console)),
  doctor: (call, console) => withLocks(call, (locks) => doctor(locks, console)),
  sql: async ({ subject = '' }, console) => {
    const sql = await migrationOf(subject);
    console.say({ database: subject, sql }, () => sql.trimEnd());
    return 0;
  },
};

async function withLocks(call: CommandCall, work: (locks: Locks) => Promise<number>): Promise<number> {
  const locks = new Locks(await backendAt(call.url), {
    identity: `cli:${process.pid}`,
    shutdownTimeout: '1s',
    ...(call.prefix !== undefined && { prefix: call.prefix }),
  });
  try {
    return await work(locks);
  } finally {
    await locks.stop();
  }
}

async function ls(locks: Locks, prefix: string | undefined, console: Console): Promise<number> {
  const found: LockSnapshot[] = [];
  for await (const snapshot of locks.list(prefix)) found.push(snapshot);
  found.sort((a, b) => (a.key < b.key ? -1 : 1));
  console.say(found, () =>
    found.length === 0
      ? 'Nothing is held, and nobody waits.'
      : table(
          ['KEY', 'MODE', 'HELD BY', 'FENCE', 'EXPIRES IN', 'WAITING'],
          found.map((snapshot) => [
            snapshot.key,
            modeText(snapshot),
            ...holderCells(snapshot),
            `${snapshot.waiting}`,
          ]),
        ),
  );
  return 0;
}

async function inspect(locks: Locks, key: string, console: Console): Promise<number> {
  const snapshot = await locks.inspect(key);
  console.say(snapshot, () =>
    snapshot ? describe(snapshot) : `Nobody holds "${key}", and nobody waits for it.`,
  );
  return snapshot ? 0 : 1;
}

async function release(locks: Locks, key: string, yes: boolean, console: Console): Promise<number> {
  const snapshot = await locks.inspect(key);
  if (!snapshot || snapshot.holders.length === 0) {
    console.say({ key, released: false }, () => `Nobody holds "${key}".`);
    return 1;
  }
  if (!yes) {
    console.note(describe(snapshot));
    const question = `Take it away? The holder is told, but work that is under way may go on beside the next one.`;
    if (!(await console.confirm(question))) {
      console.say({ key, released: false }, () => 'Nothing was released.');
      return 1;
    }
  }
  const released = await locks.forceRelease(key);
  console.say({ key, released }, () =>
    released ? `"${key}" was released.` : `Nobody holds "${key}" any more.`,
  );
  return released ? 0 : 1;
}

function describe(snapshot: LockSnapshot): string {
  const { key, holders, waiting } = snapshot;
  const lines = [`${key}  ${modeText(snapshot)}  ${waiting} waiting`];
  if (holders.length === 0) return `${lines.join('')}\nNobody holds it at the moment.`;
  const rows = holders.map((holder) => [
    identityOf(holder.owner),
    stateOf(holder),
    `${holder.take}`,
    `${holder.fence}`,
    msText(holder.expiresInMs),
    holder.owner,
  ]);
  return `${lines.join('')}\n${table(['HELD BY', 'STATE', 'TAKES', 'FENCE', 'EXPIRES IN', 'OWNER'], rows)}`;
}

function holderCells({ holders }: LockSnapshot): [string, string, string] {
  const [first, ...more] = holders;
  if (!first) return ['nobody', '', ''];
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  return [`${identityOf(first.owner)}${others}`, `${first.fence}`, msText(first.expiresInMs)];
}

function stateOf({ state }: HolderSnapshot): string {
  return state ?? 'held';
}
