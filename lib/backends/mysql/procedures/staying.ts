import type { MysqlNames } from '../mysql-names.js';
import { TEXT } from '../tables.js';
import { NOW, procedure, REPLY, SILENCE_US, transaction } from './procedure.js';

/** Rows of a key, an owner and, for renewals, a ttl. */
const ASKED = 'p_asked JSON';

const asked = (row: string): string => `JSON_TABLE(p_asked, '$[*]' COLUMNS (
      nth FOR ORDINALITY, k VARCHAR(512) PATH '$[0]', o VARCHAR(128) PATH '$[1]', ttl BIGINT PATH '$[2]' DEFAULT '0' ON EMPTY
    )) AS ${row}`;
const same = (table: string, row: string): string =>
  `${table}.\`key\` = CONVERT(${row}.k USING ascii) COLLATE ascii_bin AND ${table}.owner = CONVERT(${row}.o USING ascii) COLLATE ascii_bin`;

export function staying(names: MysqlNames): readonly string[] {
  const { renew, renew_step, stay, stay_step, sweep, sweep_step, turn } = names;
  const SWEEP = [`p_after ${TEXT(512)}`, 'p_most INT'];
  return [
    procedure(renew_step, [ASKED, REPLY], renewStep(names)),
    transaction(renew, renew_step, [ASKED]),
    procedure(stay_step, [ASKED, REPLY], stayStep(names)),
    transaction(stay, stay_step, [ASKED]),
    procedure(turn, [ASKED], turnBody(names)),
    procedure(sweep_step, [...SWEEP, REPLY], sweepStep(names)),
    transaction(sweep, sweep_step, SWEEP),
  ];
}

/**
 * Answers a digit for each: 1 renewed, 0 gone, 2 when its row is locked at this moment, which is no reason to let the
 * others wait. A lease that is over is never revived.
 */
function renewStep({ lock, holder }: MysqlNames): string {
  const extended =
    'closed_until = v_now + v_ttl * 1000 + (closed_until - lease_until), lease_until = v_now + v_ttl * 1000';
  const loop = (cursor: string, table: string): string => `
    OPEN ${cursor};
    every: LOOP
      SET v_done = 0;
      FETCH ${cursor} INTO v_nth, v_ttl, v_key, v_owner;
      IF v_done THEN LEAVE every; END IF;
      UPDATE ${table} SET ${extended} WHERE \`key\` = v_key AND owner = v_owner;
      SET p_reply = INSERT(p_reply, v_nth, 1, '1');
    END LOOP;
    CLOSE ${cursor};`;
  const alive = (table: string): string => `${table}.lingers = 0 AND ${table}.lease_until > v_now`;
  const mine = (table: string): string => `
      SELECT a.nth, a.ttl, t.\`key\`, t.owner FROM ${asked('a')} STRAIGHT_JOIN ${table} AS t ON ${same('t', 'a')}
       WHERE ${alive('t')} ORDER BY t.\`key\` FOR UPDATE SKIP LOCKED`;
  const there = (table: string): string => `
    SELECT COALESCE(GROUP_CONCAT(a.nth), '') INTO v_locked FROM ${asked('a')} STRAIGHT_JOIN ${table} AS t ON ${same('t', 'a')}
     WHERE ${alive('t')} AND SUBSTRING(p_reply, a.nth, 1) = '0';
    WHILE v_locked <> '' DO
      SET p_reply = INSERT(p_reply, SUBSTRING_INDEX(v_locked, ',', 1), 1, '2');
      SET v_locked = SUBSTRING(v_locked, LENGTH(SUBSTRING_INDEX(v_locked, ',', 1)) + 2);
    END WHILE;`;
  return `
  DECLARE v_now BIGINT DEFAULT ${NOW};
  DECLARE v_nth INT;
  DECLARE v_ttl BIGINT;
  DECLARE v_key ${TEXT(512)};
  DECLARE v_owner ${TEXT(128)};
  DECLARE v_locked TEXT CHARACTER SET ascii;
  DECLARE v_done TINYINT DEFAULT 0;
  BEGIN
    DECLARE alone CURSOR FOR ${mine(lock)};
    DECLARE together CURSOR FOR ${mine(holder)};
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = 1;
    SET p_reply = REPEAT('0', JSON_LENGTH(p_asked));
    ${loop('alone', lock)}
    IF LOCATE('0', p_reply) > 0 THEN
      ${loop('together', holder)}
    END IF;
    IF LOCATE('0', p_reply) > 0 THEN
      ${there(lock)}
      ${there(holder)}
    END IF;
  END;`;
}

/** Whether the row of a waiter \`w\` could hold its key beside those who do. */
function room({ lock, holder }: MysqlNames): string {
  return `(NOT EXISTS (SELECT 1 FROM ${lock} AS l WHERE l.\`key\` = w.\`key\` AND l.closed_until > v_now)
      AND (SELECT COUNT(*) = 0 OR (w.mode <> 'e' AND MIN(h.mode) = w.mode
             AND (w.mode <> 'p' OR SUM(h.take) + w.take <= LEAST(MIN(h.permits), w.permits)))
             FROM ${holder} AS h WHERE h.\`key\` = w.\`key\` AND h.closed_until > v_now))`;
}

/**
 * The limit keeps the rows a table of their own. Merged into the aggregate around them, they work for the first call of
 * a session, and MariaDB 10.11 refuses the second one under ONLY_FULL_GROUP_BY.
 */
const APART = 'LIMIT 1000000';

/** One row with a digit for each, as \`digit\` says of \`w\`, the waiter or nothing. */
function digits(waiter: string, digit: string): string {
  return `SELECT COALESCE(GROUP_CONCAT(d.digit ORDER BY d.nth SEPARATOR ''), '') AS reply FROM (
    SELECT a.nth, ${digit} AS digit FROM ${asked('a')}
      LEFT JOIN ${waiter} AS w ON ${same('w', 'a')} AND w.seen_at > v_now - ${SILENCE_US} ${APART}
  ) AS d`;
}

/** Answers a digit for each: 1 when it should ask, because the key may be free for it or its place is gone, else 0. */
function stayStep(names: MysqlNames): string {
  const { waiter } = names;
  return `
  DECLARE v_now BIGINT DEFAULT ${NOW};
  UPDATE ${waiter} AS w JOIN ${asked('a')} ON ${same('w', 'a')} SET w.seen_at = v_now
   WHERE w.seen_at > v_now - ${SILENCE_US};
  SET p_reply = (${digits(waiter, `IF(w.ticket IS NULL OR ${room(names)}, '1', '0')`)});`;
}

/**
 * Changes nothing. Answers a digit for each: 1 when it is its turn, or its place is gone; 0 when it is the first in the
 * line, and else one more than there are ahead, 9 at most.
 */
function turnBody(names: MysqlNames): string {
  const { waiter } = names;
  const ahead = `FROM ${waiter} AS b WHERE b.\`key\` = w.\`key\` AND b.ticket < w.ticket AND b.seen_at > v_now - ${SILENCE_US}`;
  const count = `CAST(LEAST(9, (SELECT COUNT(*) + 1 ${ahead})) AS CHAR)`;
  return `
  DECLARE v_now BIGINT DEFAULT ${NOW};
  DECLARE v_longest BIGINT DEFAULT @@SESSION.group_concat_max_len;
  SET SESSION group_concat_max_len = GREATEST(v_longest, 4096);
  ${digits(
    waiter,
    `CASE WHEN w.ticket IS NULL THEN '1'
        WHEN NOT EXISTS (SELECT 1 ${ahead}) THEN IF(${room(names)}, '1', '0')
        WHEN w.mode = 'e' OR EXISTS (SELECT 1 ${ahead} AND b.mode <> w.mode) THEN ${count}
        WHEN ${room(names)} AND (w.mode = 's' OR (SELECT SUM(b.take) + w.take + COALESCE((SELECT SUM(h.take)
          FROM ${names.holder} AS h WHERE h.\`key\` = w.\`key\` AND h.closed_until > v_now), 0)
          <= LEAST(w.permits, MIN(b.permits), COALESCE((SELECT MIN(h.permits)
          FROM ${names.holder} AS h WHERE h.\`key\` = w.\`key\` AND h.closed_until > v_now), w.permits)) ${ahead})) THEN '1'
        ELSE ${count} END`,
  )};
  SET SESSION group_concat_max_len = v_longest;`;
}

/**
 * Looks at the next keys, and forgets those that were not used for an hour; old marks as well. A lock that is forgotten
 * leaves its fence. Answers the last key that it looked at, or '' at the end.
 */
function sweepStep({ lock, gone, floor, settle }: MysqlNames): string {
  return `
  DECLARE v_now BIGINT DEFAULT ${NOW};
  DECLARE v_old BIGINT DEFAULT v_now - 3600000000;
  DECLARE v_seen, v_done INT DEFAULT 0;
  DECLARE v_fence BIGINT;
  DECLARE v_crowded TINYINT;
  DECLARE v_key ${TEXT(512)};
  DECLARE old CURSOR FOR
    SELECT \`key\`, fence, crowded FROM ${lock} WHERE \`key\` > p_after AND \`key\` <= p_reply AND fence < v_old;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET v_done = 1;
  DELETE FROM ${gone} WHERE until <= v_now LIMIT 1000;
  SELECT COUNT(*), COALESCE(MAX(page.\`key\`), '') INTO v_seen, p_reply
    FROM (SELECT \`key\` FROM ${lock} WHERE \`key\` > p_after ORDER BY \`key\` LIMIT p_most) AS page;
  OPEN old;
  every: LOOP
    FETCH old INTO v_key, v_fence, v_crowded;
    IF v_done THEN LEAVE every; END IF;
    IF v_crowded THEN
      SELECT fence INTO v_fence FROM ${lock} WHERE \`key\` = v_key FOR UPDATE SKIP LOCKED;
      IF NOT v_done THEN CALL ${settle}(v_key); END IF;
      SET v_done = 0;
    ELSE
      UPDATE ${floor} SET fence = v_fence WHERE fence < v_fence;
      DELETE FROM ${lock} WHERE \`key\` = v_key AND crowded = 0 AND fence = v_fence AND closed_until <= v_now;
    END IF;
  END LOOP;
  CLOSE old;
  IF v_seen < p_most THEN SET p_reply = ''; END IF;`;
}
