import { parseArgs } from 'node:util';

export const HELP = `npm start -- [flags]

  --backend memory|redis   memory (default): three applications in one process, no server;
                           redis: three processes, and a redis-server that is started for them
  --url redis://…          a redis-server that runs already; implies --backend redis
  --no-lock                leave the lock away, and see seats being sold twice
  --help                   print this`;

export interface Flags {
  readonly backend: 'memory' | 'redis';
  readonly url: string | undefined;
  readonly locked: boolean;
}

/** @returns a sentence about what is wrong, in the place of flags */
export function readFlags(args: readonly string[]): Flags | 'help' | { readonly problem: string } {
  const options = {
    backend: { type: 'string' },
    url: { type: 'string' },
    'no-lock': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  try {
    const { values } = parseArgs({ args: [...args], options });
    if (values.help) return 'help';
    const { url, backend = url === undefined ? 'memory' : 'redis' } = values;
    if (backend !== 'memory' && backend !== 'redis') {
      return { problem: `There is no backend "${backend}" here; use memory or redis.` };
    }
    if (url !== undefined && backend === 'memory') {
      return { problem: 'The backend memory has no server, so it takes no --url; leave one of them away.' };
    }
    if (url !== undefined && !/^rediss?:\/\/./.test(url)) {
      return { problem: `--url ${url} is no address of a Redis; give one like redis://localhost:6379.` };
    }
    return { backend, url, locked: !values['no-lock'] };
  } catch (error) {
    // parseArgs goes on about positional arguments after the first sentence.
    const [problem = ''] = (error instanceof Error ? error.message : String(error)).split(/(?<=\.) /);
    return { problem: problem.endsWith('.') ? problem : `${problem}.` };
  }
}
