import { LOCK_LIMIT } from '../lock-limit.js';
import type { PostgresNames } from '../postgres-names.js';

/**
 * Sets what is left of many leases to their ttl; a lease that is over is never revived. Answers a digit for each: 1
 * renewed, 0 gone, 2 when its row was locked for too long, which is no reason to let the others wait.
 */
export function renew({ lock, holder, renew: name }: PostgresNames): string {
  const extended = (ttl: string): string =>
    `lease_until = clock_timestamp() + ${ttl} * interval '1 millisecond',
             closed_until = clock_timestamp() + ${ttl} * interval '1 millisecond' + (t.closed_until - t.lease_until)`;
  const held = 'NOT t.lingers AND t.lease_until > clock_timestamp()';
  return `
CREATE OR REPLACE FUNCTION ${name}(p_keys text[], p_owners text[], p_ttls integer[]) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_answers text[] := array_fill('0'::text, ARRAY[cardinality(p_keys)]);
  v_nth integer;
BEGIN
  FOR v_nth IN
    WITH asked AS (
      SELECT * FROM unnest(p_keys, p_owners, p_ttls) WITH ORDINALITY AS a (key, owner, ttl, nth)
    ), mine AS MATERIALIZED (
      SELECT a.nth, a.ttl, t.key FROM asked AS a JOIN ${lock} AS t ON t.key = a.key AND t.owner = a.owner
       ORDER BY t.key FOR NO KEY UPDATE OF t SKIP LOCKED
    )
    UPDATE ${lock} AS t
       SET ${extended('m.ttl')}
      FROM mine AS m WHERE t.key = m.key AND ${held}
    RETURNING m.nth
  LOOP
    v_answers[v_nth] := '1';
  END LOOP;${LOCK_LIMIT}
  -- those who hold a key together with others, those whose row is locked at this moment, and those who are gone
  FOR v_nth IN SELECT n FROM generate_subscripts(v_answers, 1) AS n WHERE v_answers[n] = '0' ORDER BY p_keys[n] LOOP
    BEGIN
      UPDATE ${lock} AS t
         SET ${extended('p_ttls[v_nth]')}
       WHERE t.key = p_keys[v_nth] AND t.owner = p_owners[v_nth] AND ${held};
      IF NOT FOUND THEN
        UPDATE ${holder} AS t
           SET ${extended('p_ttls[v_nth]')}
         WHERE t.key = p_keys[v_nth] AND t.owner = p_owners[v_nth] AND ${held};
      END IF;
      IF FOUND THEN
        v_answers[v_nth] := '1';
      END IF;
    EXCEPTION WHEN lock_not_available THEN
      v_answers[v_nth] := '2';
      PERFORM set_config('lock_timeout', '1', true);
    END;
  END LOOP;
  RETURN array_to_string(v_answers, '');
END $$;
`;
}

/** Whether a row of a waiter, `s`, could hold its key beside those who do. */
function room({ lock, holder }: PostgresNames): string {
  return `NOT EXISTS (SELECT FROM ${lock} AS l WHERE l.key = s.key AND l.closed_until > clock_timestamp())
      AND (SELECT count(*) = 0 OR (s.mode <> 'e' AND min(h.mode) = s.mode
             AND (s.mode <> 'p' OR sum(h.take) + s.take <= least(min(h.permits), s.permits)))
             FROM ${holder} AS h WHERE h.key = s.key AND h.closed_until > clock_timestamp())`;
}

/**
 * For those whom nobody tells. Changes nothing. Answers a digit for each: 1 when it is its turn, or its place is gone; 0
 * when it is the first in the line, and else one more than there are ahead, 9 at most.
 */
export function turn(names: PostgresNames): string {
  const { holder, waiter, turn: name } = names;
  return `
CREATE OR REPLACE FUNCTION ${name}(p_keys text[], p_owners text[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(CASE
      WHEN s.owner IS NULL THEN '1'
      WHEN ahead.heads = 0 THEN CASE WHEN ${room(names)} THEN '1' ELSE '0' END
      WHEN s.mode <> 'e' AND ahead.alike AND ${room(names)} AND (s.mode = 's' OR ahead.taken + s.take + inside.taken
        <= least(s.permits, ahead.permits, inside.permits)) THEN '1'
      ELSE least(9, ahead.heads + 1)::text END, '' ORDER BY a.nth)
  FROM unnest(p_keys, p_owners) WITH ORDINALITY AS a (key, owner, nth)
  LEFT JOIN ${waiter} AS s ON s.key = a.key AND s.owner = a.owner AND s.seen_at > clock_timestamp() - interval '1 second'
  LEFT JOIN LATERAL (
    SELECT count(*) AS heads, bool_and(w.mode = s.mode) AS alike, sum(w.take) AS taken, min(w.permits) AS permits
      FROM ${waiter} AS w
     WHERE w.key = s.key AND w.ticket < s.ticket AND w.seen_at > clock_timestamp() - interval '1 second') AS ahead ON true
  LEFT JOIN LATERAL (
    SELECT coalesce(sum(h.take), 0) AS taken, min(h.permits) AS permits
      FROM ${holder} AS h WHERE h.key = s.key AND h.closed_until > clock_timestamp()) AS inside ON true
$$;
`;
}

/**
 * Shows life for many places in the line. Answers a digit for each: 1 when it should ask, because the key may be free
 * for it or its place is gone, else 0.
 */
export function stay(names: PostgresNames): string {
  const { waiter, stay: name } = names;
  return `
CREATE OR REPLACE FUNCTION ${name}(p_keys text[], p_owners text[]) RETURNS text LANGUAGE sql AS $$
  WITH asked AS (
    SELECT * FROM unnest(p_keys, p_owners) WITH ORDINALITY AS a (key, owner, nth)
  ), mine AS MATERIALIZED (
    SELECT a.nth, w.key, w.owner FROM asked AS a JOIN ${waiter} AS w ON w.key = a.key AND w.owner = a.owner
     WHERE w.seen_at > clock_timestamp() - interval '1 second'
     ORDER BY w.key FOR UPDATE OF w SKIP LOCKED
  ), seen AS (
    UPDATE ${waiter} AS w SET seen_at = clock_timestamp() FROM mine AS m
     WHERE w.key = m.key AND w.owner = m.owner
    RETURNING m.nth, w.key, w.mode, w.take, w.permits
  )
  SELECT string_agg(CASE WHEN s.nth IS NULL OR (
      ${room(names)}
    ) THEN '1' ELSE '0' END, '' ORDER BY a.nth)
  FROM asked AS a LEFT JOIN seen AS s ON s.nth = a.nth
$$;
`;
}

/**
 * Looks at the next keys, and forgets those that were not used for an hour. A lock that is forgotten leaves its fence:
 * the next one of that key begins above it. Answers the last key that it looked at, or '' at the end.
 */
export function sweep({ lock, floor, free, sweep: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_after text, p_most integer) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_keys text[];
  v_key text;
  v_fence bigint;
  v_old bigint := (extract(epoch FROM clock_timestamp() - interval '1 hour') * 1000000)::bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  v_keys := ARRAY(SELECT t.key FROM ${lock} AS t WHERE t.key > p_after ORDER BY t.key LIMIT p_most);
  WITH idle AS (
    SELECT t.key FROM ${lock} AS t
     WHERE t.key = ANY (v_keys) AND NOT t.crowded AND t.fence < v_old AND t.closed_until <= clock_timestamp()
       AND t.marked_until <= clock_timestamp()
     FOR UPDATE SKIP LOCKED
  ), dropped AS (
    DELETE FROM ${lock} AS t USING idle AS i WHERE t.key = i.key RETURNING t.fence
  )
  SELECT max(d.fence) INTO v_fence FROM dropped AS d;
  UPDATE ${floor} AS f SET fence = v_fence WHERE f.fence < v_fence;
  -- those whose waiters or holders died find out here; the next time they are forgotten
  FOR v_key IN
    SELECT t.key FROM ${lock} AS t WHERE t.key = ANY (v_keys) AND t.crowded AND t.fence < v_old FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    PERFORM ${free}(v_key);
  END LOOP;
  RETURN CASE WHEN cardinality(v_keys) = p_most THEN v_keys[p_most] ELSE '' END;
END $$;
`;
}
