import { Redis } from 'ioredis';

/** Version 6 speaks RESP3, which has messages and replies on one connection. */
export function messagesShareAConnection(): boolean {
  const { options } = new Redis({ lazyConnect: true });
  return 'protocol' in options && options.protocol === 3;
}
