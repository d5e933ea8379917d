import {
  Inject,
  Injectable,
  mixin,
  Optional,
  type CanActivate,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import { LockConfigurationError } from '../core/errors.js';
import { checkGroup, DEFAULT_GROUP } from './leadership-settings.js';
import { LeaderService } from './leader.service.js';
import { leaderServiceToken } from './leader.tokens.js';

/**
 * Lets requests and messages through on the replica that leads, and refuses them elsewhere with a `NotLeaderError` that
 * says who does. As it is, it is about the group `default`; {@link LeaderGuard.of} makes those for others.
 *
 * It looks before the handler runs. A handler that must not outlast the leadership has `@LeaderOnly`.
 *
 * @example
 * @UseGuards(LeaderGuard.of('reports'))
 * @Post('reports')
 * create() {}
 */
@Injectable()
export class LeaderGuard implements CanActivate {
  protected readonly group: string = DEFAULT_GROUP;

  /** @param leaders the elections of the module; without them every request is refused */
  constructor(@Optional() @Inject(leaderServiceToken()) protected readonly leaders?: LeaderService) {
    leaders?.join(this.group);
  }

  /** @throws LockConfigurationError at once, when the group's name is none */
  static of(group: string, options: { readonly locks?: string } = {}): Type<LeaderGuard> {
    checkGroup(group);

    @Injectable()
    class GroupLeaderGuard extends LeaderGuard {
      protected override readonly group = group;

      constructor(@Optional() @Inject(leaderServiceToken(options.locks)) leaders?: LeaderService) {
        super();
        Object.assign(this, { leaders });
        leaders?.join(group);
      }
    }
    return mixin(GroupLeaderGuard);
  }

  async canActivate(_context: ExecutionContext): Promise<boolean> {
    const { leaders, group } = this;
    if (!leaders) {
      throw new LockConfigurationError(
        `A handler is guarded by LeaderGuard ("${group}"), but there is no leader service for it: import LockModule.forRoot(). Nothing has run.`,
      );
    }
    if (leaders.isLeader(group)) return true;
    throw await leaders.refusal(group);
  }
}
