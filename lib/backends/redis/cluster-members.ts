/** A node of a cluster, as another one sees it. */
export interface ClusterMember {
  readonly host: string;
  readonly port: number;
  /** `primary` or `replica`; `spare` when it is a primary without slots, like one that failed and was replaced. */
  readonly role: string;
  /** Most primaries cannot reach it. */
  readonly failed: boolean;
}

/** Reads `CLUSTER NODES`: lines of id, host:port@busPort[,name], flags, and more. */
export function membersIn(reply: unknown): ClusterMember[] {
  return String(reply)
    .split('\n')
    .flatMap((line) => {
      const [, where = '', flags = '', , , , , , ...slots] = line.split(' ');
      const [, host, port] = /^(.+):(\d+)@/.exec(where) ?? [];
      if (!host || !port || flags.includes('noaddr')) return [];
      const isPrimary = !flags.includes('slave');
      const role = isPrimary ? (slots.length > 0 ? 'primary' : 'spare') : 'replica';
      return [{ host, port: Number(port), role, failed: flags.split(',').includes('fail') }];
    });
}
