import {
  Inject,
  Injectable,
  mixin,
  Optional,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { Observable } from 'rxjs';
import { LockConfigurationError, show } from './core/errors.js';
import { KeyTemplate } from './core/key-template.js';
import type { Keys } from './core/key.js';
import { answerBusy, splitOptions, type GuardedCall, type LockedOptions } from './guarded-call.js';
import type { LockService } from './lock.service.js';
import { lockServiceToken } from './lock.tokens.js';

/** How the key of a request is made: a template over the request, several, or a function of the context. */
export type RequestKey = string | readonly string[] | ((context: ExecutionContext) => Keys);

/**
 * Holds a lock while a handler runs, for keys that come from the request and are no arguments of the handler.
 * It works on HTTP, RPC and WebSocket handlers, after the guards and before the pipes, until the handler's
 * result is complete. Whoever unsubscribes (a time-out, the end of an SSE connection) leaves the line, or ends the
 * handler's Observable with its lock; a Promise cannot be ended, so its lock is held until it settles. That takes
 * interceptors which cut a handler short to be outside of this one, before it in the list.
 *
 * In a template, `<params.id>`, `<query.name>`, `<body.order.id>`, `<headers.name>` are of the HTTP request;
 * `<data.id>` is of a message, and `<user.id>` whatever a guard has put on the request (or the client).
 *
 * @example
 * @Post('orders/:id/pay')
 * @UseInterceptors(LockInterceptor.on('order:<params.id>', { wait: '2s' }))
 * pay() {}
 */
export abstract class LockInterceptor implements NestInterceptor {
  abstract intercept(context: ExecutionContext, next: CallHandler): Observable<unknown>;

  /** @throws LockConfigurationError at once, when the key or an option is wrong */
  static on(key: RequestKey, options: LockedOptions = {}): Type<LockInterceptor> {
    const site = `the interceptor on ${typeof key === 'function' ? 'a key function' : JSON.stringify(key)}`;
    const { options: lock, onBusy = 'throw', locks, atMostMs } = splitOptions(site, options, key);
    const make = requestKeys(key, site);

    @Injectable()
    class ConfiguredLockInterceptor extends LockInterceptor {
      constructor(@Optional() @Inject(lockServiceToken(locks)) private readonly service?: LockService) {
        super();
      }

      override intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
        if (!this.service) throw missing(locks);
        const call: GuardedCall = {
          site: `${context.getClass().name}.${context.getHandler().name}`,
          skips: onBusy === 'skip',
          keys: () => make(context),
          options: lock,
          atMostMs,
          body: () => next.handle(),
          whenBusy: (error) => answerBusy(onBusy, error, context.getArgs()),
        };
        return this.service.observe(call, !isStream(context));
      }
    }
    return mixin(ConfiguredLockInterceptor);
  }
}

function requestKeys(key: RequestKey, site: string): (context: ExecutionContext) => Keys {
  if (typeof key === 'function') return key;
  const texts: readonly unknown[] = Array.isArray(key) ? key : [key];
  if (texts.length === 0) {
    throw new LockConfigurationError(`${site} has an empty list of keys; name at least one.`);
  }
  const templates = texts.map((text) => {
    if (typeof text === 'string') return new KeyTemplate(text, site);
    throw new LockConfigurationError(
      `The key of ${site} is ${show(text)}; give a text like 'order:<params.id>', a list of them, or a function of the ExecutionContext.`,
    );
  });
  return (context) => {
    const request = requestOf(context);
    return templates.map((template) => template.fill(({ head }) => request[head]));
  };
}

/** What `@Sse` leaves on a handler. */
const SSE = '__sse__';

/** Whether the handler stops when nobody listens: an Observable does, the work behind a Promise goes on. */
function isStream(context: ExecutionContext): boolean {
  const handler = context.getHandler();
  const prototype = context.getClass().prototype as object;
  return (
    Reflect.getMetadata('design:returntype', prototype, handler.name) === Observable ||
    Reflect.getMetadata(SSE, handler) === true
  );
}

/** What placeholders can name: the HTTP request itself, or the client with the message as `data`. */
function requestOf(context: ExecutionContext): Record<string, unknown> {
  const kind = context.getType();
  if (kind === 'http') return context.switchToHttp().getRequest<Record<string, unknown>>();
  const message = kind === 'ws' ? context.switchToWs() : context.switchToRpc();
  const client: object = 'getClient' in message ? message.getClient() : message.getContext();
  return { ...client, data: message.getData<unknown>() };
}

function missing(name: string | undefined): LockConfigurationError {
  const module = name === undefined ? 'LockModule.forRoot()' : `LockModule.forRoot({ name: '${name}' })`;
  return new LockConfigurationError(
    `A handler is guarded by LockInterceptor, but there is no lock service for it: import ${module}. Nothing has run.`,
  );
}
