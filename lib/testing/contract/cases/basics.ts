import assert from 'node:assert/strict';
import { cases, type CaseDefinition, type ModalDefinition } from '../contract-case.js';
import { expectBackendError, LONG_TTL_MS, type Trial } from '../trial.js';

/** Whatever a canonical key may look like to a server, a path, a pattern or an object. */
// prettier-ignore
const HOSTILE_NAMES = [
  'a', 'A', 'aa', 'aA', '.', '..', '../a', '/', '//', '/a', 'a/', 'a//b', 'a/b', ':', '::', 'a:', 'a:b', 'a::b',
  '-', '--', '_', 'a_b', 'axb', '@', '~', 'a~b', '0', '00', '-1', '1e3', 'null', 'undefined', 'true',
  '__proto__', 'constructor', 'hasOwnProperty', 'toString', 'length',
];

async function grantsAFreeKey(mode: 'exclusive' | 'shared' | 'permits', t: Trial): Promise<void> {
  const claim = t.claim(mode);
  const beforeMs = t.clock.now();
  const grant = await t.granted(claim);
  assert.deepEqual(grant.claim, claim, 'the grant names its claim');
  assert.equal(typeof grant.fence, 'bigint');
  assert(grant.fence > 0n, 'a fence is positive');
  assert(
    grant.sentAtMs >= beforeMs && grant.sentAtMs <= t.clock.now(),
    'sentAtMs is by the clock of the context',
  );
  assert.equal(await t.backend.release(grant), 'released');
}

async function tellsWhoIsInTheWay(mode: 'exclusive' | 'shared' | 'permits', t: Trial): Promise<void> {
  const holder = await t.granted(t.claim(mode));
  const { busy } = await t.busy(t.rival(mode));
  assert.equal(busy.holder, holder.claim.owner, 'busy names the holder');
  assert(busy.expiresInMs !== undefined, 'busy says when the lease ends');
  assert(busy.expiresInMs > 0 && busy.expiresInMs <= LONG_TTL_MS + t.lockDelayMs, 'that is within the ttl');
}

async function leavesNoTrace(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const place = await t.busy(t.claim());
  assert.equal((await t.snapshot()).waiting, 0, 'nobody stands in the line');
  await place.retry();
  assert.equal((await t.snapshot()).waiting, 0, 'nor after a retry');
  await t.backend.release(holder);
  assert.equal(await t.backend.inspect(t.key), null);
  await t.expectFree();
}

async function isFreeAfterRelease(mode: 'exclusive' | 'shared' | 'permits', t: Trial): Promise<void> {
  const first = await t.granted(t.claim(mode));
  await t.busy(t.rival(mode));
  assert.equal(await t.backend.release(first), 'released');
  const second = await t.granted(t.rival(mode));
  await t.backend.release(second);
  assert.equal(await t.backend.inspect(t.key), null, 'a free key has no state');
}

async function keepsHostileKeysApart(t: Trial): Promise<void> {
  const keys = HOSTILE_NAMES.map((name) => t.keyOf(name));
  for (const key of keys) await t.granted(t.claim('exclusive', { key }));
  for (const key of keys) {
    await t.busy(t.claim('exclusive', { key }));
    assert.equal((await t.snapshot(key)).key, key);
  }
}

async function takesLongKeysAndOwners(t: Trial): Promise<void> {
  const stem = t.keyOf('').padEnd(511, 'x');
  const keys = [`${stem}a`, `${stem}A`, stem];
  const owner = 'o'.repeat(127);
  const owners = [`${owner}a`, `${owner}A`, '__proto__'];
  for (const [i, key] of keys.entries()) {
    const grant = await t.granted(t.claim('exclusive', { key, owner: owners[i] ?? '' }));
    for (const other of owners) {
      if (other === grant.claim.owner) continue;
      await t.busy(t.claim('exclusive', { key, owner: other }));
    }
  }
}

async function listsByPrefix(t: Trial): Promise<void> {
  // what a pattern, a LIKE or a regular expression would take for the same
  const inside = [t.keyOf('p_q.r:1'), t.keyOf('p_q.r:2')];
  const outside = [
    t.keyOf('paq.r:1'),
    t.keyOf('p_q-r:1'),
    t.keyOf('P_Q.R:1'),
    t.keyOf('p_q.r'),
    t.keyOf('x:p_q.r:1'),
  ];
  for (const key of [...inside, ...outside]) await t.granted(t.claim('exclusive', { key }));
  const found: string[] = [];
  for await (const snapshot of t.backend.list(t.keyOf('p_q.r:'))) {
    if (!snapshot) continue;
    assert.equal(snapshot.holders.length, 1);
    found.push(snapshot.key);
  }
  assert.deepEqual(found.sort(), inside.sort());
}

async function admitsAHundredInTurn(t: Trial): Promise<void> {
  const backends = [t.backend, (await t.connect()).backend];
  let inside = 0;
  let entered = 0;
  const contend = async (n: number): Promise<void> => {
    const backend = backends[n % 2] ?? t.backend;
    const grant = await t.acquire(t.claim('exclusive', { queue: true }), backend);
    assert.equal(++inside, 1, 'never two inside');
    await t.sleep(1);
    inside--;
    entered++;
    assert.equal(await backend.release(grant), 'released');
  };
  const all = Promise.all(Array.from({ length: 100 }, (_, n) => contend(n)));
  await t.drive(all, 'a hundred turns');
  assert.equal(entered, 100);
}

async function refusesWorkAfterStop(t: Trial): Promise<void> {
  const { backend } = await t.connect();
  await backend.stop();
  await expectBackendError(backend.claim(t.claim()));
  await backend.stop();
  await t.expectFree();
}

async function namesItsNodes(t: Trial): Promise<void> {
  const nodes = await t.backend.nodes();
  assert(nodes.length > 0, 'there is a server');
  for (const { node, role, state, latencyMs } of nodes) {
    assert(node !== '' && role !== '', 'a node says what it is');
    assert(!/\/\/[^/]*@/.test(node), 'a node has no credentials in its name');
    assert.equal(state, 'up');
    assert(latencyMs === undefined || latencyMs >= 0);
  }
  const stopped = await t.connect();
  await stopped.backend.stop();
  assert(Array.isArray(await stopped.backend.nodes()), 'nodes does not reject');
}

const definitions: (CaseDefinition | ModalDefinition)[] = [
  { id: 'free-key', lines: [1], title: 'grants a free key', runIn: grantsAFreeKey },
  {
    id: 'busy-key',
    lines: [1],
    title: 'answers a held key with a place that says who holds it',
    runIn: tellsWhoIsInTheWay,
  },
  {
    id: 'no-trace',
    lines: [1],
    title: 'answers a held key with a place, and leaves no trace of a claim that does not queue',
    run: leavesNoTrace,
  },
  {
    id: 'released-key',
    lines: [2],
    title: 'grants a released key to the next at once',
    runIn: isFreeAfterRelease,
  },
  {
    id: 'hostile-keys',
    lines: [2, 4],
    title: 'keeps odd keys apart, and meets equal ones',
    run: keepsHostileKeysApart,
  },
  {
    id: 'long-keys',
    lines: [4],
    title: 'tells the longest keys and owners apart',
    run: takesLongKeysAndOwners,
  },
  {
    id: 'list-prefix',
    lines: [5, 32],
    title: 'lists the keys under a prefix, and no others',
    run: listsByPrefix,
  },
  {
    id: 'hundred-contenders',
    lines: [6],
    title: 'lets a hundred contenders in, one at a time',
    run: admitsAHundredInTurn,
  },
  { id: 'stop-twice', title: 'may be stopped twice, and refuses work after it', run: refusesWorkAfterStop },
  { id: 'nodes', title: 'names its nodes, with no credentials', run: namesItsNodes },
];

export const basics = cases('basics', definitions);
