import type { MysqlNames } from '../mysql-names.js';
import { TEXT } from '../tables.js';
import { besides, FREE, KEY, NOW, OWNER, procedure, REPLY, SILENCE_US, transaction } from './procedure.js';

/** How holders and waiters go. Who comes next finds out by asking. */
export function leaving(names: MysqlNames): readonly string[] {
  const { release, release_step, abandon, abandon_step, evict, evict_step, settle } = names;
  const RELEASE = [KEY, OWNER, 'p_linger BIGINT'];
  const ABANDON = [KEY, OWNER, 'p_keep BIGINT'];
  return [
    procedure(settle, [KEY], settleBody(names)),
    procedure(release_step, [...RELEASE, REPLY], releaseStep(names)),
    transaction(release, release_step, RELEASE),
    procedure(abandon_step, [...ABANDON, REPLY], abandonStep(names)),
    transaction(abandon, abandon_step, ABANDON),
    procedure(evict_step, [KEY, REPLY], evictStep(names)),
    transaction(evict, evict_step, [KEY]),
  ];
}

/** Forgets the dead of a key whose row is locked. */
function settleBody(names: MysqlNames): string {
  const { lock, holder, waiter } = names;
  return `
  DECLARE v_now BIGINT DEFAULT ${NOW};
  DELETE FROM ${holder} WHERE \`key\` = p_key AND closed_until <= v_now;
  DELETE FROM ${waiter} WHERE \`key\` = p_key AND seen_at NOT BETWEEN v_now - ${SILENCE_US} AND v_now + ${SILENCE_US};
  UPDATE ${lock} SET crowded = ${besides(names)} OR EXISTS (SELECT 1 FROM ${holder} AS h WHERE h.\`key\` = p_key)
   WHERE \`key\` = p_key;`;
}

/** Answers '1' when it was released, '0' when there was nothing to release. */
function releaseStep({ lock, holder, settle }: MysqlNames): string {
  return `
  step: BEGIN
    DECLARE l_owner, l_released ${TEXT(128)};
    DECLARE l_lease, h_lease, v_now, v_end BIGINT;
    DECLARE l_lingers, l_crowded, h_lingers TINYINT;

    SELECT owner, released, lease_until, lingers, crowded INTO l_owner, l_released, l_lease, l_lingers, l_crowded
      FROM ${lock} WHERE \`key\` = p_key FOR UPDATE;
    SET v_now = ${NOW}, p_reply = '1';
    SET v_end = v_now + p_linger * 1000;
    IF l_owner = p_owner AND l_lease > v_now THEN
      IF l_lingers THEN
        LEAVE step;
      ELSEIF p_linger > 0 THEN
        UPDATE ${lock} SET lingers = 1, lease_until = v_end, closed_until = v_end, released = p_owner WHERE \`key\` = p_key;
        LEAVE step;
      END IF;
      UPDATE ${lock} SET ${FREE}, released = p_owner WHERE \`key\` = p_key;
      IF NOT l_crowded THEN
        LEAVE step;
      END IF;
    ELSE
      IF l_crowded THEN
        SELECT lease_until, lingers INTO h_lease, h_lingers FROM ${holder}
         WHERE \`key\` = p_key AND owner = p_owner FOR UPDATE;
      END IF;
      IF h_lease IS NULL OR h_lease <= v_now THEN
        SET p_reply = IF(l_released <=> p_owner OR (l_owner <=> p_owner AND l_lease = 0), '1', '0');
        LEAVE step;
      ELSEIF h_lingers THEN
        LEAVE step;
      ELSEIF p_linger > 0 THEN
        UPDATE ${holder} SET lingers = 1, lease_until = v_end, closed_until = v_end WHERE \`key\` = p_key AND owner = p_owner;
        LEAVE step;
      END IF;
      DELETE FROM ${holder} WHERE \`key\` = p_key AND owner = p_owner;
      UPDATE ${lock} SET released = p_owner WHERE \`key\` = p_key;
    END IF;
    CALL ${settle}(p_key);
  END;`;
}

/**
 * Gives up the place of an owner and whatever was granted to it, and refuses it from now on. The row of the lock is made
 * if there is none: a claim that is on its way has to wait for it, and finds the mark then.
 */
function abandonStep({ lock, holder, waiter, gone, floor, settle }: MysqlNames): string {
  return `
  DECLARE v_now BIGINT;
  INSERT INTO ${lock} (\`key\`, fence) SELECT p_key, f.fence FROM ${floor} AS f
  ON DUPLICATE KEY UPDATE lingers = lingers;
  SET v_now = ${NOW};
  INSERT INTO ${gone} (\`key\`, owner, until) VALUES (p_key, p_owner, v_now + p_keep * 1000)
  ON DUPLICATE KEY UPDATE until = v_now + p_keep * 1000;
  UPDATE ${lock} SET ${FREE} WHERE \`key\` = p_key AND owner = p_owner AND lingers = 0 AND lease_until > v_now;
  DELETE FROM ${holder} WHERE \`key\` = p_key AND owner = p_owner AND lingers = 0 AND lease_until > v_now;
  DELETE FROM ${waiter} WHERE \`key\` = p_key AND owner = p_owner;
  CALL ${settle}(p_key);
  SET p_reply = '1';`;
}

/** Takes the lock from all who hold it. Answers '0' when nobody did, else '1' and who it was. */
function evictStep({ lock, holder, settle }: MysqlNames): string {
  return `
  DECLARE v_now, l_closed BIGINT;
  DECLARE l_owner ${TEXT(128)};
  DECLARE v_owners MEDIUMTEXT CHARACTER SET ascii;
  SELECT owner, closed_until INTO l_owner, l_closed FROM ${lock} WHERE \`key\` = p_key FOR UPDATE;
  SET v_now = ${NOW};
  SELECT GROUP_CONCAT(owner SEPARATOR ' ') INTO v_owners FROM ${holder} WHERE \`key\` = p_key AND closed_until > v_now;
  IF l_closed > v_now THEN
    SET v_owners = l_owner;
    UPDATE ${lock} SET ${FREE} WHERE \`key\` = p_key;
  END IF;
  DELETE FROM ${holder} WHERE \`key\` = p_key;
  CALL ${settle}(p_key);
  SET p_reply = COALESCE(CONCAT('1 ', v_owners), '0');`;
}
