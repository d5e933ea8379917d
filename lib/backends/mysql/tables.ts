import type { MysqlNames } from './mysql-names.js';

/** Keys and owners are of few characters, and are compared byte by byte. */
export const TEXT = (length: number): string => `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;

/**
 * The tables, as on PostgreSQL. Times are µs since 1970 in UTC, so that no session's time zone matters.
 *
 * - `lock`: one row a key, and who holds it exclusively. Every step on a key locks its row first.
 * - `holder`: who holds a key shared or by permits.
 * - `waiter`: who stands in the line.
 * - `gone`: owners who gave up; a claim of theirs that arrives late is refused.
 *
 * As long as a key has rows in the other tables, those of owners who gave up lately included, its lock is `crowded`: who
 * finds that it is not need not look at them.
 */
export function tables({ lock, holder, waiter, gone, floor }: MysqlNames): readonly string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${lock} (
  \`key\` ${TEXT(512)} NOT NULL PRIMARY KEY,
  fence BIGINT NOT NULL,
  owner ${TEXT(128)} NULL,
  lease_until BIGINT NOT NULL DEFAULT 0,
  closed_until BIGINT NOT NULL DEFAULT 0,
  lingers TINYINT NOT NULL DEFAULT 0,
  released ${TEXT(128)} NULL,
  crowded TINYINT NOT NULL DEFAULT 0
) ENGINE = InnoDB`,
    `CREATE TABLE IF NOT EXISTS ${holder} (
  \`key\` ${TEXT(512)} NOT NULL,
  owner ${TEXT(128)} NOT NULL,
  mode CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  take INT NOT NULL,
  permits INT NOT NULL,
  fence BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  closed_until BIGINT NOT NULL,
  lingers TINYINT NOT NULL DEFAULT 0,
  PRIMARY KEY (\`key\`, owner),
  FOREIGN KEY (\`key\`) REFERENCES ${lock} (\`key\`) ON DELETE CASCADE
) ENGINE = InnoDB`,
    `CREATE TABLE IF NOT EXISTS ${waiter} (
  \`key\` ${TEXT(512)} NOT NULL,
  owner ${TEXT(128)} NOT NULL,
  ticket BIGINT NOT NULL AUTO_INCREMENT UNIQUE,
  mode CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  take INT NOT NULL,
  permits INT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (\`key\`, owner),
  FOREIGN KEY (\`key\`) REFERENCES ${lock} (\`key\`) ON DELETE CASCADE
) ENGINE = InnoDB`,
    `CREATE TABLE IF NOT EXISTS ${gone} (
  \`key\` ${TEXT(512)} NOT NULL,
  owner ${TEXT(128)} NOT NULL,
  until BIGINT NOT NULL,
  PRIMARY KEY (\`key\`, owner),
  KEY (until)
) ENGINE = InnoDB`,
    `CREATE TABLE IF NOT EXISTS ${floor} (
  one TINYINT NOT NULL PRIMARY KEY,
  fence BIGINT NOT NULL
) ENGINE = InnoDB`,
    `INSERT IGNORE INTO ${floor} (one, fence) VALUES (1, 0)`,
  ];
}
