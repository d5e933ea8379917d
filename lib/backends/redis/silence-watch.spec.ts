import { expect, test } from '@jest/globals';
import { ManualClock } from '../../testing/manual-clock.js';
import type { RedisNode } from './redis-client.js';
import { SilenceWatch } from './silence-watch.js';

class FakeStream {
  bytesRead = 0;
  bytesWritten = 0;
  errors: string[] = [];
  destroy({ message }: Error): void {
    this.errors.push(message);
  }
}

function watched(): { clock: ManualClock; client: { stream: FakeStream | undefined }; watch: SilenceWatch } {
  const clock = new ManualClock();
  const client = { stream: new FakeStream() };
  const watch = new SilenceWatch(() => [client as unknown as RedisNode], clock);
  return { clock, client, watch };
}

/** Second by second, what is sent and what comes back. */
async function pass(clock: ManualClock, stream: FakeStream, sent: string, heard: string): Promise<void> {
  for (let second = 0; second < sent.length; second++) {
    stream.bytesWritten += Number(sent[second]);
    stream.bytesRead += Number(heard[second]);
    await clock.advance(1000);
  }
}

test.each([
  ['a question that nobody answers', '01000000', '00000000'],
  ['questions that nobody answers', '01111111', '00000000'],
  ['a question after a long pause', '100000000100000', '100000000000000'],
])('%s ends the connection, once', async (_, sent, heard) => {
  const { clock, client } = watched();
  const stream = client.stream as FakeStream;
  await pass(clock, stream, sent, heard);

  expect(stream.errors).toEqual(['the server has not answered for five seconds']);
});

test.each([
  ['one that is not used', '00000000', '00000000'],
  ['one that answers', '01111111', '01111111'],
  ['one that answers slowly', '0100000010000000', '0000010000001000'],
  ['one that speaks, though not in answer', '0100000000', '0001000100'],
])('%s stays', async (_, sent, heard) => {
  const { clock, client } = watched();
  const stream = client.stream as FakeStream;
  await pass(clock, stream, sent, heard);

  expect(stream.errors).toEqual([]);
});

test('a new connection is not blamed for the old one', async () => {
  const { clock, client } = watched();
  const old = client.stream as FakeStream;
  await pass(clock, old, '01000', '00000');
  const stream = new FakeStream();
  client.stream = stream;
  await pass(clock, stream, '11111', '00000');
  expect([old.errors, stream.errors]).toEqual([[], []]);

  await pass(clock, stream, '1', '0');
  expect([old.errors.length, stream.errors.length]).toEqual([0, 1]);
});

test('it looks on after there was no connection, and no more when it is stopped', async () => {
  const { clock, client, watch } = watched();
  client.stream = undefined;
  await clock.advance(3000);
  const stream = new FakeStream();
  client.stream = stream;
  await pass(clock, stream, '01000', '00000');
  watch.stop();
  await pass(clock, stream, '0000', '0000');

  expect(stream.errors).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});
