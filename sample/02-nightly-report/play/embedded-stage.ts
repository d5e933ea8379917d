import { NestFactory } from '@nestjs/core';
import { LeaderService, memory } from 'nestjs-interlock';
import { faulty } from 'nestjs-interlock/testing';
import type { Cleanup } from '../../01-ticket-shop/play/stage.js';
import { ReportModule } from '../report/report.module.js';
import type { Chronicle, Replica, Stage } from './stage.js';

/** Four applications in this process, that share nothing but the lock server inside it. */
export async function embeddedStage(
  names: readonly string[],
  chronicle: Chronicle,
  cleanup: Cleanup,
): Promise<Stage> {
  const server = memory();
  const start = async (name: string): Promise<Replica> => {
    const backend = faulty(server);
    const diary = {
      write: (happening: object) => void chronicle.push({ ...happening, replica: name } as never),
    };
    const module = ReportModule.register({ name, prefix: 'nightly-report', backend, diary });
    // whoever is cut off would complain each second
    const app = await NestFactory.createApplicationContext(module, { logger: ['fatal'] });
    cleanup.add(() => {
      backend.plan = [];
      return app.close();
    });
    return {
      name,
      resign: () => app.get(LeaderService).resign(),
      // no call arrives any more, and none is answered
      strike: () => (backend.plan = () => 'hang'),
    };
  };
  const replicas: Replica[] = [];
  for (const name of names) replicas.push(await start(name));
  return {
    title: 'embedded: one process, no server',
    accident: 'is cut off from the lock server',
    replicas,
  };
}
