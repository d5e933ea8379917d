import { describe, expect, it } from '@jest/globals';
import { fenceGuard, migrationStatements } from '../../lib/backends/mysql/index.js';
import { listStatement } from '../../lib/backends/mysql/listing.js';
import { mysqlNames } from '../../lib/backends/mysql/mysql-names.js';
import { quickTexts } from '../../lib/backends/mysql/quick-steps.js';

/**
 * The keywords and functions of our statements. Each is in the manual of MySQL 8.0, in this meaning: look a new one up
 * there before it is added. (https://dev.mysql.com/doc/refman/8.0/en/keywords.html)
 */
const KNOWN = new Set(
  `ALL AND AS AUTO_INCREMENT BEGIN BETWEEN BIGINT BY CALL CASCADE CASE CAST CEILING CHAR CHARACTER CLOSE COALESCE COLLATE
   COLUMNS COMMIT COMMITTED CONCAT CONCAT_WS CONTINUE CONVERT COUNT CREATE CURSOR DECLARE DEFAULT DELETE DO DUPLICATE ELSE
   ELSEIF EMPTY END ENGINE EXISTS EXIT FETCH FOR FOREIGN FOUND FROM GREATEST GROUP_CONCAT HANDLER IF IGNORE IN INSERT INT
   INTO INVOKER IS ISOLATION JOIN JSON JSON_LENGTH JSON_TABLE KEY LAST_INSERT_ID LEAST LEAVE LEFT LENGTH LEVEL LIMIT LOCATE LOCK LOCKED
   LOOP MAX MEDIUMTEXT MICROSECOND MIN MODE NOT NULL ON OPEN OR ORDER ORDINALITY OUT PATH PRIMARY PROCEDURE READ REFERENCES
   REPEAT RESIGNAL ROLLBACK SECURITY SELECT SEPARATOR SESSION SET SHARE SIGNED SKIP SQL SQLEXCEPTION START STRAIGHT_JOIN SUBSTRING
   SUBSTRING_INDEX SUM TABLE TEXT THEN TIMESTAMPDIFF TINYINT TRANSACTION UNION UNIQUE UPDATE USING UTC_TIMESTAMP VALUES
   VARCHAR WHEN WHERE WHILE`.split(/\s+/),
);

/** Words that some MySQL from 8.0 to 9 keeps for itself, and MariaDB does not: no name of ours without quotes. */
const RESERVED = new Set(
  `cube cume_dist dense_rank empty first_value function generated get grouping groups io_after_gtids io_before_gtids
   json_table lag last_value lateral lead library manual master_bind nth_value ntile of optimizer_costs parallel
   percent_rank qualify rank row row_number rows stored system tablesample virtual window`.split(/\s+/),
);

describe('the statements for MariaDB and MySQL', () => {
  const statements = [
    ...migrationStatements(),
    listStatement(mysqlNames()),
    ...Object.values(quickTexts(mysqlNames())),
    `SELECT ${fenceGuard({ key: 'k', fence: 1n })}`,
  ];
  const words = statements.flatMap((sql) => wordsOf(sql));

  it('are made of words alone that MySQL 8 knows', () => {
    const capitals = words.filter((word) => word === word.toUpperCase());
    expect(capitals.length).toBeGreaterThan(1_000);
    expect(capitals.filter((word) => !KNOWN.has(word))).toEqual([]);
    // none is left in the list that nobody uses any more
    expect([...KNOWN].filter((word) => !capitals.includes(word))).toEqual([]);
  });

  it('use no name that MySQL has reserved', () => {
    const names = words.filter((word) => word !== word.toUpperCase());
    expect(names.length).toBeGreaterThan(1_000);
    expect(names.filter((name) => RESERVED.has(name.toLowerCase()))).toEqual([]);
  });

  it.each([
    ['a returned row', 'DELETE FROM `k` WHERE owner = 1 RETURNING fence', ['RETURNING']],
    ['a sequence', 'SELECT NEXTVAL(`tickets`)', ['NEXTVAL']],
    ['a replaced procedure', 'CREATE OR REPLACE PROCEDURE `p`() BEGIN END', ['REPLACE']],
    ['a loop over rows', 'FOR w IN (SELECT 1) DO CALL p(); END FOR', []],
  ])('find %s', (_, sql, unknown) => {
    expect(wordsOf(sql).filter((word) => word === word.toUpperCase() && !KNOWN.has(word))).toEqual(unknown);
  });

  it('are none of the forms that only MariaDB has of words that both know', () => {
    for (const sql of statements) {
      // a loop over a query, a parameter that has a value of its own, and an INSERT that sets columns to defaults of others
      expect(sql).not.toMatch(/\bFOR \w+ IN\b|\bp_\w+ [A-Z]+[^,)]* DEFAULT\b|\bVALUES?\(\w+\)\s*[,;]/);
      // MySQL has it since 8.0.29, which is the oldest that is let in
      if (/\bCREATE PROCEDURE\b/.test(sql)) expect(sql).toContain('CREATE PROCEDURE IF NOT EXISTS');
    }
  });
});

/** Without comments, quoted names, texts and the variables of the server. */
function wordsOf(sql: string): readonly string[] {
  const bare = sql.replace(/--.*$|\/\*.*?\*\//gm, ' ').replace(/x?'[^']*'|`[^`]*`|@@[\w.]+/g, ' ');
  return bare.match(/[A-Za-z_]\w*/g) ?? [];
}
