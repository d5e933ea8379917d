import { Redis } from 'ioredis';

/**
 * The commands that this process has sent to a server, by whatever client. They are counted where they leave
 * the client: the server's own counters (`total_commands_processed`, `INFO commandstats`) also count every
 * command that a script runs inside of it, and so cannot tell one call from ten.
 */
let sent = 0;

const { sendCommand } = Redis.prototype;
Redis.prototype.sendCommand = function (...args) {
  sent++;
  return sendCommand.apply(this, args);
};

export function commandsSent(): number {
  return sent;
}
