import type { MysqlNames } from '../mysql-names.js';
import { TEXT } from '../tables.js';

export const KEY = `p_key ${TEXT(512)}`;
export const OWNER = `p_owner ${TEXT(128)}`;
/** The server's time, of the statement that it is in: after a row was locked it has to be asked for anew. */
export const NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";
/** Answers of a procedure, in a parameter of it. */
export const REPLY = 'OUT p_reply MEDIUMTEXT CHARACTER SET ascii';
/** A place that was silent for that long is dropped from the line. */
export const SILENCE_US = 1_000_000;
/** A row of a lock that nobody has. */
export const FREE = 'owner = NULL, lease_until = 0, closed_until = 0';

/** Whether somebody waits for the key, or an owner has given up that may still ask for it. */
export function besides({ waiter, gone }: MysqlNames): string {
  return `(EXISTS (SELECT 1 FROM ${waiter} AS w WHERE w.\`key\` = p_key)
      OR EXISTS (SELECT 1 FROM ${gone} AS g WHERE g.\`key\` = p_key AND g.until > v_now))`;
}

export function procedure(name: string, parameters: readonly string[], body: string): string {
  return `CREATE PROCEDURE IF NOT EXISTS ${name}(${parameters.join(', ')}) SQL SECURITY INVOKER
BEGIN
${body.trim()}
END`;
}

/**
 * A step as one transaction: by the isolation level that lets it see what the step before it did, and with a limit to
 * how long it waits for a row. The session is left as it was.
 */
export function transaction(name: string, step: string, parameters: readonly string[]): string {
  const values = parameters.map((parameter) => parameter.split(' ')[0]);
  return procedure(
    name,
    parameters,
    `
  DECLARE v_reply MEDIUMTEXT CHARACTER SET ascii;
  DECLARE v_limit BIGINT DEFAULT @@SESSION.innodb_lock_wait_timeout;
  DECLARE v_longest BIGINT DEFAULT @@SESSION.group_concat_max_len;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    SET SESSION innodb_lock_wait_timeout = v_limit, SESSION group_concat_max_len = v_longest;
    RESIGNAL;
  END;
  SET SESSION innodb_lock_wait_timeout = LEAST(v_limit, 1), SESSION group_concat_max_len = GREATEST(v_longest, 65536);
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  CALL ${step}(${[...values, 'v_reply'].join(', ')});
  COMMIT;
  SET SESSION innodb_lock_wait_timeout = v_limit, SESSION group_concat_max_len = v_longest;
  SELECT v_reply AS reply;`,
  );
}
