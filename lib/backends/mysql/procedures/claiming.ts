import type { MysqlNames } from '../mysql-names.js';
import { TEXT } from '../tables.js';
import { besides, KEY, NOW, OWNER, procedure, REPLY, SILENCE_US, transaction } from './procedure.js';

const CLAIM = [
  KEY,
  OWNER,
  'p_mode CHAR(1) CHARACTER SET ascii COLLATE ascii_bin',
  'p_take INT',
  'p_permits INT',
  'p_ttl BIGINT',
  'p_delay BIGINT',
  'p_queue TINYINT',
  'p_channel VARCHAR(64)',
];
const FROM = `p_from ${TEXT(128)}`;
const CLAIM_VALUES = CLAIM.map((parameter) => parameter.split(' ')[0]).join(', ');

/** Answers as on PostgreSQL: 'g FENCE', 'x', or 'b MS AHEAD HOLDER'. */
export function claiming(names: MysqlNames): readonly string[] {
  const { claim, claim_step, pass, pass_step, release_step } = names;
  const both = `
  DECLARE v_claimed MEDIUMTEXT CHARACTER SET ascii;
  CALL ${release_step}(p_key, p_from, 0, p_reply);
  CALL ${claim_step}(${CLAIM_VALUES}, v_claimed);
  SET p_reply = CONCAT(p_reply, ' ', v_claimed);`;
  return [
    procedure(claim_step, [...CLAIM, REPLY], claimStep(names)),
    transaction(claim, claim_step, CLAIM),
    procedure(pass_step, [FROM, ...CLAIM, REPLY], both),
    transaction(pass, pass_step, [FROM, ...CLAIM]),
  ];
}

/**
 * A claim is granted when it fits together with who is inside and with everybody ahead in the line: so nobody is ever
 * delayed by somebody who came later, and readers do not wait for each other.
 */
function claimStep(names: MysqlNames): string {
  const { lock, holder, waiter, gone, floor } = names;
  return `
  step: BEGIN
    DECLARE l_fence, l_lease, l_closed, h_fence, h_lease, h_closed, v_now, v_lease, v_end, v_ticket BIGINT;
    DECLARE l_owner, v_holder ${TEXT(128)};
    DECLARE l_lingers, l_crowded, h_lingers TINYINT;
    DECLARE v_inside, v_taken, v_ahead, v_ahead_taken BIGINT DEFAULT 0;
    DECLARE v_permits, v_ahead_permits INT DEFAULT 2147483647;
    DECLARE v_mode CHAR(1) CHARACTER SET ascii COLLATE ascii_bin;
    DECLARE v_alike, v_room TINYINT DEFAULT 1;

    SELECT fence, owner, lease_until, closed_until, lingers, crowded
      INTO l_fence, l_owner, l_lease, l_closed, l_lingers, l_crowded
      FROM ${lock} WHERE \`key\` = p_key FOR UPDATE;
    IF l_fence IS NULL THEN
      INSERT INTO ${lock} (\`key\`, fence, crowded)
      SELECT p_key, f.fence, EXISTS (SELECT 1 FROM ${gone} AS g WHERE g.\`key\` = p_key) FROM ${floor} AS f
      ON DUPLICATE KEY UPDATE lingers = lingers;
      SELECT fence, owner, lease_until, closed_until, lingers, crowded
        INTO l_fence, l_owner, l_lease, l_closed, l_lingers, l_crowded
        FROM ${lock} WHERE \`key\` = p_key FOR UPDATE;
    END IF;
    IF l_crowded AND EXISTS (SELECT 1 FROM ${gone} WHERE \`key\` = p_key AND owner = p_owner) THEN
      SET p_reply = 'x';
      LEAVE step;
    END IF;

    SET v_now = ${NOW};
    SET v_lease = v_now + p_ttl * 1000, v_end = v_now + (p_ttl + p_delay) * 1000;
    IF l_owner = p_owner AND l_lingers = 0 AND l_lease > v_now THEN
      UPDATE ${lock} SET lease_until = v_lease, closed_until = v_end WHERE \`key\` = p_key;
      SET p_reply = CONCAT('g ', l_fence);
      LEAVE step;
    END IF;
    IF l_crowded THEN
      DELETE FROM ${holder} WHERE \`key\` = p_key AND closed_until <= v_now;
      DELETE FROM ${waiter} WHERE \`key\` = p_key AND seen_at NOT BETWEEN v_now - ${SILENCE_US} AND v_now + ${SILENCE_US};
      SELECT fence, lease_until, closed_until, lingers INTO h_fence, h_lease, h_closed, h_lingers
        FROM ${holder} WHERE \`key\` = p_key AND owner = p_owner FOR UPDATE;
      IF h_lingers = 0 AND h_lease > v_now THEN
        UPDATE ${holder} SET lease_until = v_lease, closed_until = v_end WHERE \`key\` = p_key AND owner = p_owner;
        SET p_reply = CONCAT('g ', h_fence);
        LEAVE step;
      END IF;
      SELECT ticket INTO v_ticket FROM ${waiter} WHERE \`key\` = p_key AND owner = p_owner;
      SELECT COUNT(*), MIN(mode), COALESCE(SUM(take), 0), COALESCE(MIN(permits), v_permits)
        INTO v_inside, v_mode, v_taken, v_permits FROM ${holder} WHERE \`key\` = p_key;
      SELECT COUNT(*), COALESCE(MIN(mode = p_mode), 1), COALESCE(SUM(take), 0), COALESCE(MIN(permits), v_ahead_permits)
        INTO v_ahead, v_alike, v_ahead_taken, v_ahead_permits
        FROM ${waiter} WHERE \`key\` = p_key AND (v_ticket IS NULL OR ticket < v_ticket);
    END IF;
    -- whether it could hold the key beside those who do, were there no line
    SET v_room = l_closed <= v_now AND h_closed IS NULL AND (v_inside = 0 OR (p_mode <> 'e' AND v_mode = p_mode))
      AND (p_mode <> 'p' OR v_taken + p_take <= LEAST(p_permits, v_permits));

    IF v_room AND (v_ahead = 0 OR (p_mode <> 'e' AND v_alike AND (p_mode <> 'p'
        OR v_taken + v_ahead_taken + p_take <= LEAST(p_permits, v_permits, v_ahead_permits)))) THEN
      IF v_ticket IS NOT NULL THEN
        DELETE FROM ${waiter} WHERE \`key\` = p_key AND owner = p_owner;
      END IF;
      SET l_fence = GREATEST(l_fence + 1, v_now);
      IF p_mode = 'e' THEN
        IF l_crowded THEN
          SET l_crowded = ${besides(names)};
        END IF;
        UPDATE ${lock} SET owner = p_owner, fence = l_fence, lingers = 0, lease_until = v_lease, closed_until = v_end,
               crowded = l_crowded WHERE \`key\` = p_key;
      ELSE
        UPDATE ${lock} SET owner = NULL, fence = l_fence, crowded = 1 WHERE \`key\` = p_key;
        INSERT INTO ${holder} (\`key\`, owner, mode, take, permits, fence, lease_until, closed_until)
        VALUES (p_key, p_owner, p_mode, p_take, p_permits, l_fence, v_lease, v_end);
      END IF;
      SET p_reply = CONCAT('g ', l_fence);
      LEAVE step;
    END IF;

    IF p_queue AND v_ticket IS NOT NULL THEN
      UPDATE ${waiter} SET seen_at = v_now WHERE \`key\` = p_key AND owner = p_owner;
    ELSEIF p_queue THEN
      INSERT INTO ${waiter} (\`key\`, owner, mode, take, permits, seen_at)
      VALUES (p_key, p_owner, p_mode, p_take, p_permits, v_now);
      IF NOT l_crowded THEN
        UPDATE ${lock} SET crowded = 1 WHERE \`key\` = p_key;
      END IF;
    END IF;

    IF h_closed IS NOT NULL THEN
      -- a lease of its own that ran out, or lingers
      SET v_end = h_closed;
    ELSEIF l_closed > v_now THEN
      SET v_end = l_closed;
      IF l_lingers OR l_lease > v_now THEN
        SET v_holder = l_owner;
      END IF;
    ELSEIF v_room THEN
      -- held back by the line alone: until its head has been silent for too long
      SELECT seen_at + ${SILENCE_US} INTO v_end FROM ${waiter} WHERE \`key\` = p_key ORDER BY ticket LIMIT 1;
    ELSE
      -- permits may be enough when the first comes back; anything else waits for the last
      SELECT IF(v_mode = p_mode, MIN(closed_until), MAX(closed_until)) INTO v_end FROM ${holder} WHERE \`key\` = p_key;
      SELECT owner INTO v_holder FROM ${holder}
       WHERE \`key\` = p_key AND (lingers OR lease_until > v_now) ORDER BY fence LIMIT 1;
    END IF;
    SET p_reply = CONCAT('b ', GREATEST(0, v_end - v_now) / 1000, ' ', v_ahead, ' ', COALESCE(v_holder, ''));
  END;`;
}
