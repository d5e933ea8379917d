import type { MysqlNames } from './mysql-names.js';
import { claiming } from './procedures/claiming.js';
import { leaving } from './procedures/leaving.js';
import { staying } from './procedures/staying.js';
import { tables } from './tables.js';

/** Everything that the locks need in a database, statement by statement; harmless where it is there already. */
export function migrationOf(names: MysqlNames): readonly string[] {
  return [...tables(names), ...leaving(names), ...claiming(names), ...staying(names)];
}

/** The same for the command line client, which has to be told where a procedure ends. */
export function scriptOf(statements: readonly string[]): string {
  return `DELIMITER //\n\n${statements.map((statement) => `${statement} //`).join('\n\n')}\n\nDELIMITER ;\n`;
}
