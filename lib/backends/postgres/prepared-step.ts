/** The wire of pg's own client, as it is handed to queries that are not pg's. */
export interface PostgresWire {
  readonly stream: { cork?(): void; uncork?(): void };
  /** The text of each statement that the server has, by its name. */
  readonly parsedStatements: Readonly<Record<string, string>>;
  /** And of those that are on their way to it; missing in older releases. */
  readonly submittedNamedStatements?: Record<string, string>;
  parse(statement: { readonly name: string; readonly text: string }): void;
  bind(values: { readonly statement: string; readonly values: readonly string[] }): void;
  execute(portal: object): void;
  sync(): void;
}

type Callback = (error: Error | undefined, answers: readonly string[]) => void;

/**
 * A statement that is prepared once a connection, and answers texts in one column. It is a query of our own, as pg lets
 * others make them (pg-cursor is one): pg's has the server describe the answer each time, which costs more than the
 * answer itself.
 */
export class PreparedStep {
  private readonly answers: string[] = [];

  /** @param callback pg puts its own before it, where there is a limit to how long a query takes */
  constructor(
    readonly name: string,
    readonly text: string,
    private readonly values: readonly string[],
    readonly query_timeout: number,
    public callback: Callback,
  ) {}

  /** Called by pg when it is its turn, as all of the following are. */
  submit(wire: PostgresWire): null {
    const { name, text, values } = this;
    const { stream, parsedStatements, submittedNamedStatements = {} } = wire;
    stream.cork?.();
    try {
      if ((parsedStatements[name] ?? submittedNamedStatements[name]) === undefined) {
        wire.parse({ name, text });
        submittedNamedStatements[name] = text;
      }
      wire.bind({ statement: name, values });
      wire.execute({});
      wire.sync();
    } finally {
      stream.uncork?.();
    }
    return null;
  }

  handleDataRow({ fields }: { readonly fields: readonly string[] }): void {
    this.answers.push(fields[0] ?? '');
  }

  handleError(error: Error): void {
    this.callback(error, []);
  }

  /** Only now it has been committed. */
  handleReadyForQuery(): void {
    this.callback(undefined, this.answers);
  }

  handleRowDescription(): void {}

  handleCommandComplete(): void {}

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}
}

/** What is needed of a connection for it. */
interface StepTaker {
  /** The wire of pg's own client; others, as pg-native's, have none. */
  readonly connection?: object;
  /** Whether it sends queries without waiting for answers, which only pg's own can stand. */
  readonly pipeline?: boolean;
  query(step: PreparedStep): unknown;
}

export function takesSteps(client: object): client is StepTaker {
  const { connection, pipeline = false } = client as Partial<StepTaker>;
  return connection !== undefined && 'parsedStatements' in connection && !pipeline;
}
