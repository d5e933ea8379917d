import { Catch, HttpStatus, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { throwError, type Observable } from 'rxjs';
import {
  LockError,
  LockLostError,
  LockTimeoutError,
  LockUnavailableError,
  NotLeaderError,
} from './core/errors.js';
import { StaleFenceError } from './core/fence-guard.js';

/** What a client may be told: no keys of other people, no servers, no stacks. */
interface Refusal {
  readonly statusCode: number;
  readonly error: string;
  readonly message: string;
  readonly retryAfterSeconds?: number;
  /** Where the leader is, by its own advertisement. */
  readonly leader?: string;
}

/**
 * Makes answers of lock errors: 409 for a busy key, 503 with Retry-After when the lock server is out of reach
 * or the lock was lost, 503 with the `leader`'s address where only the leader serves, 500 for the rest. For messages and WebSockets, an error with the same body.
 *
 * @example
 * app.useGlobalFilters(new LockExceptionFilter(app.get(HttpAdapterHost)));
 * // or, in a module: { provide: APP_FILTER, useClass: LockExceptionFilter }
 */
@Catch(LockError)
export class LockExceptionFilter implements ExceptionFilter {
  private readonly logger = new Logger(LockExceptionFilter.name);

  /** @param adapterHost Nest's own, which knows the HTTP platform */
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: LockError, host: ArgumentsHost): void | Observable<never> {
    const refusal = this.refusalOf(error);
    // the client is told nothing of a mistake in the program, so somebody else has to be
    if (refusal.statusCode === HttpStatus.INTERNAL_SERVER_ERROR)
      this.logger.error(error.message, error.stack);
    const kind = host.getType();
    if (kind === 'http') return this.reply(host, refusal);
    if (kind === 'ws') return tell(host.switchToWs().getClient<WsClient>(), refusal);
    return throwError(() => refusal);
  }

  /** Override to answer otherwise. */
  protected refusalOf(error: LockError): Refusal {
    if (error instanceof LockTimeoutError) {
      return {
        statusCode: HttpStatus.CONFLICT,
        error: error.name,
        message: 'This is in use right now; try again.',
      };
    }
    const isPassing = [LockUnavailableError, LockLostError, StaleFenceError, NotLeaderError].some(
      (kind) => error instanceof kind,
    );
    if (isPassing) {
      return {
        statusCode: HttpStatus.SERVICE_UNAVAILABLE,
        error: error.name,
        message: 'This cannot be done right now; try again soon.',
        retryAfterSeconds: 1,
        ...addressOf(error),
      };
    }
    return {
      statusCode: HttpStatus.INTERNAL_SERVER_ERROR,
      error: error.name,
      message: 'Internal server error',
    };
  }

  private reply(host: ArgumentsHost, { retryAfterSeconds, ...body }: Refusal): void {
    const { httpAdapter } = this.adapterHost;
    const response = host.switchToHttp().getResponse<unknown>();
    if (httpAdapter.isHeadersSent(response)) {
      httpAdapter.end(response);
      return;
    }
    if (retryAfterSeconds !== undefined)
      httpAdapter.setHeader(response, 'Retry-After', String(retryAfterSeconds));
    httpAdapter.reply(response, body, body.statusCode);
  }
}

/** A leader advertises its address for those who were refused; nothing else of it is told. */
function addressOf(error: LockError): { leader?: string } {
  const address = error instanceof NotLeaderError ? error.leader?.address : undefined;
  return address === undefined ? {} : { leader: address };
}

/** Either a socket of socket.io, or a plain WebSocket, whose `emit` stays in this process. */
interface WsClient {
  readonly readyState?: number;
  emit(event: string, data: unknown): void;
  send(data: string): void;
}

function tell(client: WsClient, refusal: Refusal): void {
  if (client.readyState === undefined) client.emit('exception', refusal);
  else client.send(JSON.stringify({ event: 'exception', data: refusal }));
}
