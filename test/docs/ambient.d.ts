/** What snippets import that is no dependency of this repository. */
declare module '@nestjs/config' {
  export class ConfigModule {}
  export class ConfigService {
    getOrThrow<T>(name: string): T;
  }
}

declare module 'typeorm' {
  interface UpdateBuilder {
    update(table: string): this;
    set(values: object): this;
    where(condition: string, parameters?: object): this;
    andWhere(condition: string, parameters?: object): this;
    execute(): Promise<unknown>;
  }
  export class DataSource {
    createQueryBuilder(): UpdateBuilder;
  }
}
declare module '@prisma/client' {
  class Sql {}
  export const Prisma: { raw(text: string): Sql };
  export class PrismaClient {
    $executeRaw(query: TemplateStringsArray, ...values: unknown[]): Promise<number>;
  }
}
declare module 'drizzle-orm' {
  class SQL {}
  export class Column {}
  export interface Orders {
    readonly id: Column;
  }
  export interface Database {
    update(table: Orders): { set(values: object): { where(condition: SQL | undefined): Promise<unknown> } };
  }
  export function and(...conditions: (SQL | undefined)[]): SQL | undefined;
  export function eq(column: Column, value: unknown): SQL;
  export const sql: { raw(text: string): SQL };
}
