import { Redis } from 'ioredis';

/**
 * The commands and statements that this process has sent to a server, by whatever client. They are counted where they
 * leave the client: a server's own counters (`total_commands_processed`, `INFO commandstats`, `pg_stat_statements`) also
 * count what a script or a function runs inside of it, and so cannot tell one call from ten.
 */
let sent = 0;

countCalls(Redis.prototype, 'sendCommand');

/** From now on each call of these methods counts. */
export function countCalls(prototype: object, ...methods: readonly string[]): void {
  const clients = prototype as Record<string, (...given: unknown[]) => unknown>;
  for (const method of methods) {
    const send = clients[method];
    if (!send) throw new Error(`There is no method "${method}" to count the calls of.`);
    clients[method] = function (...given) {
      sent++;
      return send.apply(this, given);
    };
  }
}

export function commandsSent(): number {
  return sent;
}
