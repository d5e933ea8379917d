import { describe, expect, it } from '@jest/globals';
import { currentLease, LockLostError, NotLeaderError, type Leadership } from 'nestjs-interlock';
import { failure } from '../support/failure.js';
import { Gate } from '../support/gate.js';
import { Troupe, type Member } from '../support/troupe.js';

/** ttl 3 s: steps down after 2 s without a renewal, renews every 400 ms. */
const SWIFT = { ttl: '3s' } as const;

/** What a replica was told of elections, in order. */
function diary({ leaders }: Member, group = 'default'): string[] {
  const lines: string[] = [];
  const write =
    (when: 'elected' | 'deposed') =>
    ({ term }: Leadership): void =>
      void lines.push(`${when} ${term}`);
  for (const when of ['elected', 'deposed'] as const)
    leaders.listen({ site: 'Test', group, when, call: write(when) });
  return lines;
}

async function candidates(troupe: Troupe, count: number, settings: object = SWIFT): Promise<Member[]> {
  const members: Member[] = [];
  for (let index = 0; index < count; index++) {
    const member = await troupe.member(settings);
    member.leaders.isLeader();
    await troupe.clock.settle();
    members.push(member);
  }
  return members;
}

const leading = (members: readonly Member[]): string[] =>
  members.filter(({ leaders }) => leaders.isLeader()).map(({ name }) => name);

describe('an election', () => {
  it('[51] has one winner, and goes on with the same term for as long as that lives', async () => {
    const troupe = new Troupe();
    const members = await candidates(troupe, 3);
    expect(leading(members)).toEqual(['replica-1']);
    const term = members[0]?.leaders.term();
    await troupe.clock.advance(60_000);
    expect(leading(members)).toEqual(['replica-1']);
    expect(members[0]?.leaders.term()).toBe(term);
  });

  it('[51] is won by the next as soon as the leader resigns, with a higher term', async () => {
    const troupe = new Troupe();
    const members = await candidates(troupe, 3);
    const terms: bigint[] = [];
    const order: string[] = [];
    for (let round = 0; round < 20; round++) {
      const leader = members.find(({ leaders }) => leaders.isLeader());
      terms.push(leader?.leaders.term() ?? 0n);
      order.push(leader?.name ?? 'nobody');
      expect(await leader?.leaders.resign()).toBe(true);
      // not a millisecond of the clock has to pass
      await troupe.clock.settle();
      expect(leading(members)).toHaveLength(1);
      await troupe.clock.advance(1_000);
    }
    expect(terms).toEqual([...terms].sort((a, b) => (a < b ? -1 : 1)));
    expect(new Set(terms).size).toBe(20);
    // whoever resigned comes last again
    expect(order.slice(0, 6)).toEqual([
      'replica-1',
      'replica-2',
      'replica-3',
      'replica-1',
      'replica-2',
      'replica-3',
    ]);
  });

  it('[51, 52] is won within ttl + retry when the leader falls silent, who has stepped down before: 20 rounds', async () => {
    const troupe = new Troupe();
    const members = [await troupe.member(SWIFT), await troupe.member(SWIFT)];
    const diaries = members.map((member) => diary(member));
    await troupe.clock.settle();
    for (let round = 0; round < 20; round++) {
      const leader = members.find(({ leaders }) => leaders.isLeader()) as Member;
      const follower = members.find((member) => member !== leader) as Member;
      troupe.cutOff(leader);
      const sawBoth = { most: 0 };
      const takenAfterMs = await troupe.until(() => {
        sawBoth.most = Math.max(sawBoth.most, leading(members).length);
        return follower.leaders.isLeader();
      }, 3_500);
      expect(takenAfterMs).toBeGreaterThan(2_000);
      expect(sawBoth.most).toBe(1);
      troupe.heal(leader);
      await troupe.clock.advance(3_000);
    }
    // told once of each beginning and of each end, and never of an end without a beginning
    for (const lines of diaries) {
      expect(lines.filter((line) => line.startsWith('elected')).length).toBeGreaterThanOrEqual(9);
      lines.forEach((line, index) => {
        const [when, term] = line.split(' ');
        expect(when).toBe(index % 2 === 0 ? 'elected' : 'deposed');
        if (when === 'deposed') expect(lines[index - 1]).toBe(`elected ${term}`);
      });
    }
  });

  it('is stood back from for one retry by whoever resigned, though nobody else is there', async () => {
    const troupe = new Troupe();
    const [member] = (await candidates(troupe, 1)) as [Member];
    await member.leaders.resign();
    await troupe.clock.advance(399);
    expect(member.leaders.isLeader()).toBe(false);
    await troupe.clock.advance(1);
    expect(member.leaders.isLeader()).toBe(true);
  });

  it('[51] is over for a leader whose event loop was blocked, before any timer or signal says so', async () => {
    const troupe = new Troupe();
    const [member] = (await candidates(troupe, 1)) as [Member];
    const leadership = member.leaders.assertLeader();
    troupe.clock.skip(2_100);
    expect(leadership.signal.aborted).toBe(false);
    expect(() => member.leaders.assertLeader()).toThrow(NotLeaderError);
    expect(member.leaders.isLeader()).toBe(false);
    expect(leadership.signal.reason).toBeInstanceOf(NotLeaderError);
  });

  it('[20] survives single renewals that fail', async () => {
    const troupe = new Troupe();
    const [member] = (await candidates(troupe, 1)) as [Member];
    const term = member.leaders.term();
    let renewals = 0;
    member.backend.plan = ({ method }) => (method === 'renew' && ++renewals % 2 === 0 ? 'before' : undefined);
    await troupe.clock.advance(20_000);
    expect(member.leaders.term()).toBe(term);
  });

  it('[52] goes on through an outage, without a hot loop', async () => {
    const troupe = new Troupe();
    const members = await candidates(troupe, 2);
    for (const { backend } of members) backend.plan = () => 'before';
    const before = members.map(({ backend }) => backend.calls.length);
    await troupe.clock.advance(600_000);
    expect(leading(members)).toEqual([]);
    members.forEach(({ backend }, index) => {
      expect(backend.calls.length - (before[index] ?? 0)).toBeLessThan(5_000);
    });
    for (const member of members) troupe.heal(member);
    await troupe.until(() => leading(members).length === 1, 3_000);
  });

  it('[21] is noticed as lost when somebody takes the lock away', async () => {
    const troupe = new Troupe();
    const members = await candidates(troupe, 2);
    const [first, second] = members as [Member, Member];
    const { signal } = first.leaders.assertLeader();
    await second.locks.forceRelease('leader:default');
    await troupe.clock.settle();
    expect(signal.reason).toBeInstanceOf(LockLostError);
    expect(leading(members)).toEqual(['replica-2']);
  });

  it('hands over at a shutdown, when the jobs have ended', async () => {
    const troupe = new Troupe();
    const members = await candidates(troupe, 2);
    const [first, second] = members as [Member, Member];
    const gate = new Gate();
    const job = first.leaders.wrap(() => gate.opened);
    const running = job();
    const closed = troupe.shutDown(first);
    await troupe.clock.settle();
    expect(leading(members)).toEqual(['replica-1']);
    gate.open();
    await running;
    await closed;
    await troupe.clock.settle();
    expect(leading(members)).toEqual(['replica-2']);
    expect(await first.leaders.wrap(() => 'ran')()).toBeUndefined();
    expect(second.leaders.isLeader()).toBe(true);
  });

  it('has groups of its own, and replicas that are no candidates', async () => {
    const troupe = new Troupe();
    const settings = { groups: { reports: { candidate: false }, imports: {} } };
    const first = await troupe.member(settings);
    const second = await troupe.member({ groups: { reports: {} } });
    await troupe.clock.settle();
    expect([first.leaders.isLeader('reports'), second.leaders.isLeader('reports')]).toEqual([false, true]);
    expect(first.leaders.isLeader('imports')).toBe(true);
    expect(await failure(first.leaders.waitForLeadership({ group: 'reports' }))).toMatchObject({
      name: 'NotLeaderError',
      message: expect.stringContaining('never leads "reports"'),
    });
  });
});

describe('those who are told', () => {
  it('[52] survive one of them that throws, and the election with them', async () => {
    const troupe = new Troupe();
    const member = await troupe.member(SWIFT);
    const lines = diary(member);
    for (const when of ['elected', 'deposed'] as const) {
      member.leaders.listen({
        site: 'Broken',
        group: 'default',
        when,
        call: () => {
          throw new Error('broken');
        },
      });
    }
    await troupe.clock.settle();
    const term = member.leaders.term();
    await member.leaders.resign();
    expect(lines).toEqual([`elected ${term}`, `deposed ${term}`]);
    await troupe.until(() => member.leaders.isLeader(), 1_000);
    expect(lines).toHaveLength(3);
  });

  it('[52] of an end are waited for before the lock is given back, up to a limit', async () => {
    const troupe = new Troupe();
    const first = await troupe.member(SWIFT);
    const gate = new Gate();
    first.leaders.listen({ site: 'Slow', group: 'default', when: 'deposed', call: () => gate.opened });
    await troupe.clock.settle();
    const [second] = (await candidates(troupe, 1)) as [Member];
    const resigned = first.leaders.resign();
    await troupe.clock.advance(500);
    expect([first.leaders.isLeader(), second.leaders.isLeader()]).toEqual([false, false]);
    gate.open();
    await resigned;
    await troupe.clock.settle();
    expect(second.leaders.isLeader()).toBe(true);

    // this time it never ends
    const hanging = await troupe.member(SWIFT);
    hanging.leaders.listen({
      site: 'Hanging',
      group: 'default',
      when: 'deposed',
      call: () => new Gate().opened,
    });
    await troupe.shutDown(first);
    await troupe.shutDown(second);
    await troupe.until(() => hanging.leaders.isLeader(), 1_000);
    const startMs = troupe.clock.now();
    const end = hanging.leaders.resign();
    await troupe.until(() => !hanging.leaders.isLeader(), 10);
    await troupe.clock.advance(1_000);
    await end;
    expect(troupe.clock.now() - startMs).toBeLessThanOrEqual(1_010);
  });

  it('work in the scope of the term, and their work is waited for', async () => {
    const troupe = new Troupe();
    const [first, second] = (await candidates(troupe, 2)) as [Member, Member];
    const seen: unknown[] = [];
    const gate = new Gate();
    const job = first.leaders.wrap(async () => {
      const lease = currentLease();
      seen.push(lease?.fence);
      await new Promise<void>((resolve) => {
        lease?.signal.addEventListener('abort', () => resolve());
      });
      seen.push(second.leaders.isLeader(), lease?.held);
      expect(() => lease?.assertHeld()).toThrow(NotLeaderError);
      await gate.opened;
    });
    const term = first.leaders.term();
    const running = job();
    const resigned = first.leaders.resign();
    await troupe.clock.advance(400);
    expect([first.leaders.isLeader(), second.leaders.isLeader()]).toEqual([false, false]);
    gate.open();
    await resigned;
    await running;
    await troupe.clock.settle();
    // told of the end while the lock is still kept
    expect(seen).toEqual([term, false, true]);
    expect(second.leaders.isLeader()).toBe(true);
  });

  it('[52] are told of each end once, however it came about', async () => {
    const troupe = new Troupe();
    const [first, second] = (await candidates(troupe, 2)) as [Member, Member];
    const lines = diary(first);
    const [loss] = [first.leaders.assertLeader()];
    void first.leaders.resign();
    void first.leaders.resign();
    await second.locks.forceRelease('leader:default');
    await troupe.clock.advance(100);
    expect(lines).toEqual([`deposed ${loss.term}`]);
  });
});

describe('who leads', () => {
  it('[53] is known to those who come late: candidates, observers, and the leader itself', async () => {
    const troupe = new Troupe();
    const first = await troupe.member({ ...SWIFT, address: 'http://10.0.0.1:3000' });
    first.leaders.isLeader();
    await troupe.clock.settle();
    const leader = {
      group: 'default',
      identity: 'replica-1',
      address: 'http://10.0.0.1:3000',
      term: first.leaders.term(),
    };
    const [candidate] = (await candidates(troupe, 1)) as [Member];
    const observer = await troupe.member({ candidate: false });
    for (const { leaders } of [first, candidate, observer]) {
      expect(await leaders.whoLeads()).toEqual(leader);
      const seen: unknown[] = [];
      const subscription = leaders.leader$().subscribe((now) => void seen.push(now));
      await troupe.clock.settle();
      expect(seen).toEqual([leader]);
      // and those who come later still, at once
      const late: unknown[] = [];
      leaders
        .leader$()
        .subscribe((now) => void late.push(now))
        .unsubscribe();
      expect(late).toEqual([leader]);
      subscription.unsubscribe();
    }
    expect(observer.leaders.isLeader()).toBe(false);
    expect(await first.leaders.whoLeads('nobody')).toBeNull();
  });

  it('[53] is told again at each change, within one retry', async () => {
    const troupe = new Troupe();
    const [first, second] = (await candidates(troupe, 2)) as [Member, Member];
    const observer = await troupe.member({ ...SWIFT, candidate: false });
    const seen: (string | undefined)[] = [];
    observer.leaders.leader$().subscribe((leader) => void seen.push(leader?.identity));
    await troupe.clock.settle();
    await first.leaders.resign();
    await troupe.clock.advance(450);
    expect(seen).toEqual(['replica-1', 'replica-2']);
    // a silent server says nothing about who leads
    observer.backend.plan = () => 'before';
    await troupe.clock.advance(5_000);
    await second.leaders.resign();
    await troupe.clock.advance(5_000);
    expect(seen).toEqual(['replica-1', 'replica-2']);
    troupe.heal(observer);
    await troupe.clock.advance(1_000);
    expect(seen).toEqual(['replica-1', 'replica-2', 'replica-1']);
  });

  it('is asked for no more often than it has to be', async () => {
    const troupe = new Troupe();
    const observer = await troupe.member({ ...SWIFT, candidate: false });
    for (let index = 0; index < 10; index++) observer.leaders.leader$().subscribe();
    await troupe.clock.advance(4_000);
    const asked = observer.backend.calls.filter(({ method }) => method === 'inspect').length;
    expect(asked).toBeGreaterThan(5);
    expect(asked).toBeLessThan(30);
  });
});

describe('waiting for leadership', () => {
  it('ends with the leadership, the abort or the end of the application', async () => {
    const troupe = new Troupe();
    const [first, second] = (await candidates(troupe, 2)) as [Member, Member];
    expect(await first.leaders.waitForLeadership()).toMatchObject({ term: first.leaders.term() });
    const abort = new AbortController();
    const aborted = failure(second.leaders.waitForLeadership({ signal: abort.signal }));
    const elected = second.leaders.waitForLeadership();
    abort.abort(new Error('enough'));
    expect(await aborted).toEqual(new Error('enough'));
    await first.leaders.resign();
    expect(await elected).toMatchObject({ group: 'default', term: second.leaders.term() });
    const third = await troupe.member(SWIFT);
    const closed = failure(third.leaders.waitForLeadership());
    await troupe.shutDown(third);
    expect(await closed).toBeInstanceOf(NotLeaderError);
  });
});
