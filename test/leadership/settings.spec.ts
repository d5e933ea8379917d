import { describe, expect, it } from '@jest/globals';
import { LockConfigurationError, LockModule, type LeadershipSettings } from 'nestjs-interlock';
import { ElectionPlan, replicaOf } from '../../lib/leadership/leadership-settings.js';

const plan = (settings: LeadershipSettings, identity = 'me'): ElectionPlan =>
  new ElectionPlan(settings, identity);

describe('the settings of an election', () => {
  it('follow from one another', () => {
    expect(plan({}).of('any')).toEqual({
      candidate: true,
      ttlMs: 15_000,
      retryMs: 2_000,
      spareMs: 4_848,
      stepDownMs: 4_848,
    });
    expect(plan({ ttl: '3s', groups: { slow: { ttl: '30s' } } }).of('slow')).toMatchObject({
      ttlMs: 30_000,
      retryMs: 4_000,
    });
  });

  it.each<[LeadershipSettings, RegExp]>([
    [
      { ttl: '10s', renewDeadline: '10s' },
      /renewDeadline of leadership \(10000 ms\) is not shorter than its ttl/,
    ],
    [{ ttl: '10s', renewDeadline: 9_900 }, /not shorter than its ttl \(10000 ms\) less 1 %/],
    [
      { renewDeadline: '6s', retry: '5s' },
      /leaves no room for a late renewal: it must be longer than 1.2 times/,
    ],
    [{ groups: { a: { ttl: 5_000, renewDeadline: '6s' } } }, /renewDeadline of leadership of "a"/],
    [{ ttl: -1 }, /ttl of leadership is -1; it must be between/],
    [{ retry: 0 }, /retry of leadership is 0/],
    [{ address: 'http://a?b=c' }, /address of leadership is "http:\/\/a\?b=c"; give letters/],
    [{ address: 'h'.repeat(91) }, /together longer than 92; shorten one of them/],
    [{ groups: { 'a b': {} } }, /The name of a group is "a b"/],
    [{ groups: [] as never }, /groups of leadership is an array/],
    [{ lease: 5 } as never, /There is no leadership setting "lease"/],
    [{ groups: { a: { address: 'x' } as never } }, /There is no setting of a group "address"/],
    [{ candidate: 'yes' as never }, /candidate of leadership is "yes"; give true or false/],
  ])('[53] %j are refused at the start', (settings, message) => {
    expect(() => plan(settings)).toThrow(LockConfigurationError);
    expect(() => plan(settings)).toThrow(message);
    expect(() => LockModule.forRoot({ identity: 'me', leadership: settings })).toThrow(message);
  });

  it('let an owner say who and where, so that nothing else can say otherwise', () => {
    expect(replicaOf('host:12/http://10.0.0.1:80/path~abc-1')).toEqual({
      identity: 'host:12',
      address: 'http://10.0.0.1:80/path',
    });
    expect(replicaOf('host:12~abc-1')).toEqual({ identity: 'host:12', address: undefined });
    const longest = plan({ address: 'h'.repeat(90) }).candidateName;
    // the seam takes owners of 128 characters: the name, "~", 24 of a nonce, "-" and a number
    expect(longest.length + 1 + 24 + 1 + 8).toBeLessThanOrEqual(128);
  });
});
