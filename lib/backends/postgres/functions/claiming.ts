import type { PostgresNames } from '../postgres-names.js';

/** Fences are the server's time in µs, or one more than the last: they rise when the clock is set back as well. */
const MICROS = '(extract(epoch FROM clock_timestamp()) * 1000000)::bigint';

/** Both are read after the row was locked, not when the statement began. */
const LEASE_END = "clock_timestamp() + p_ttl * interval '1 millisecond'";
const CLOSED_END = "clock_timestamp() + (p_ttl + p_delay) * interval '1 millisecond'";

const CLAIM_PARAMETERS =
  'p_key text, p_owner text, p_mode text, p_take integer, p_permits integer, p_ttl integer, p_delay integer, p_queue boolean, p_channel text';

/**
 * Grants the lock, or says who is in the way. Answers 'g FENCE', 'x' when the owner has been abandoned, or
 * 'b MS AHEAD HOLDER': when it is worth asking again, how many are ahead, and who holds it, if anybody.
 */
export function claim({ lock, gone, contend, claim: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(${CLAIM_PARAMETERS}) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_fence bigint;
  v_marked boolean;
BEGIN
  -- the usual case first: exclusive, free, and nobody else about
  IF p_mode = 'e' THEN
    UPDATE ${lock} AS l
       SET owner = p_owner, fence = greatest(l.fence + 1, ${MICROS}), lingers = false, channel = p_channel,
           lease_until = ${LEASE_END}, closed_until = ${CLOSED_END}
     WHERE l.key = p_key AND NOT l.crowded AND l.closed_until <= clock_timestamp()
    RETURNING l.fence, l.marked_until > clock_timestamp() INTO v_fence, v_marked;
    IF FOUND THEN
      -- by itself: with the query in the same expression it would be run each time
      IF NOT v_marked THEN
        RETURN 'g ' || v_fence;
      END IF;
      -- only now: an abandonment that came first has locked the row before us, and is seen by this statement
      IF NOT EXISTS (SELECT FROM ${gone} AS g WHERE g.key = p_key AND g.owner = p_owner) THEN
        RETURN 'g ' || v_fence;
      END IF;
      UPDATE ${lock} AS l SET owner = NULL, lease_until = '-infinity', closed_until = '-infinity' WHERE l.key = p_key;
      RETURN 'x';
    END IF;
  END IF;
  RETURN ${contend}(p_key, p_owner, p_mode, p_take, p_permits, p_ttl, p_delay, p_queue, p_channel);
END $$;
`;
}

/**
 * The rest of a claim. It is granted when it fits together with who is inside and with everybody ahead in the line: so
 * nobody is ever delayed by somebody who came later, and readers do not wait for each other.
 */
export function contend(names: PostgresNames): string {
  const { lock, holder, waiter, gone, floor, purge, wake, contend: name } = names;
  return `
CREATE OR REPLACE FUNCTION ${name}(${CLAIM_PARAMETERS}) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  l ${lock}%ROWTYPE;
  h ${holder}%ROWTYPE;
  v_now timestamptz;
  v_dropped integer := 0;
  v_closed boolean;
  v_first boolean;
  v_delayed boolean := false;
  v_ticket bigint;
  inside record;
  ahead record;
  v_room boolean;
  v_holder text := '';
  v_end timestamptz;
BEGIN
  SELECT * INTO l FROM ${lock} AS t WHERE t.key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    INSERT INTO ${lock} AS t (key, fence, marked_until)
    SELECT p_key, f.fence, coalesce((SELECT max(g.until) FROM ${gone} AS g WHERE g.key = p_key), '-infinity')
      FROM ${floor} AS f
    ON CONFLICT (key) DO UPDATE SET fence = t.fence
    RETURNING t.* INTO STRICT l;
  END IF;
  IF EXISTS (SELECT FROM ${gone} AS g WHERE g.key = p_key AND g.owner = p_owner) THEN
    RETURN 'x';
  END IF;

  v_now := clock_timestamp();
  IF l.owner = p_owner AND NOT l.lingers AND l.lease_until > v_now THEN
    UPDATE ${lock} AS t SET lease_until = ${LEASE_END}, closed_until = ${CLOSED_END}, channel = p_channel
     WHERE t.key = p_key;
    RETURN 'g ' || l.fence;
  END IF;
  v_closed := l.closed_until > v_now;
  -- the head of the line, alive, and nobody inside: there is nothing else to weigh up
  IF l.crowded AND p_mode = 'e' AND NOT v_closed THEN
    SELECT t.owner = p_owner AND t.seen_at BETWEEN v_now - interval '1 second' AND v_now + interval '1 second'
      INTO v_first FROM ${waiter} AS t WHERE t.key = p_key ORDER BY t.ticket LIMIT 1;
    IF v_first AND NOT EXISTS (SELECT FROM ${holder} AS t WHERE t.key = p_key) THEN
      DELETE FROM ${waiter} AS w WHERE w.key = p_key AND w.owner = p_owner;
      UPDATE ${lock} AS t
         SET owner = p_owner, fence = greatest(t.fence + 1, ${MICROS}), lingers = false, channel = p_channel,
             lease_until = ${LEASE_END}, closed_until = ${CLOSED_END},
             crowded = EXISTS (SELECT FROM ${waiter} AS w WHERE w.key = p_key)
       WHERE t.key = p_key RETURNING t.fence INTO l.fence;
      RETURN 'g ' || l.fence;
    END IF;
  END IF;
  IF l.crowded THEN
    v_dropped := ${purge}(p_key);
    SELECT * INTO h FROM ${holder} AS t WHERE t.key = p_key AND t.owner = p_owner FOR UPDATE;
    v_delayed := FOUND;
    IF v_delayed AND NOT h.lingers AND h.lease_until > clock_timestamp() THEN
      UPDATE ${holder} AS t SET lease_until = ${LEASE_END}, closed_until = ${CLOSED_END}, channel = p_channel
       WHERE t.key = p_key AND t.owner = p_owner;
      RETURN 'g ' || h.fence;
    END IF;
    SELECT w.ticket INTO v_ticket FROM ${waiter} AS w WHERE w.key = p_key AND w.owner = p_owner;
  END IF;

  SELECT count(*) AS heads, min(t.mode) AS mode, coalesce(sum(t.take), 0) AS taken, min(t.permits) AS permits
    INTO inside FROM ${holder} AS t WHERE l.crowded AND t.key = p_key;
  SELECT count(*) AS heads, bool_and(w.mode = p_mode) AS alike, coalesce(sum(w.take), 0) AS taken, min(w.permits) AS permits
    INTO ahead FROM ${waiter} AS w
   WHERE l.crowded AND w.key = p_key AND (v_ticket IS NULL OR w.ticket < v_ticket);
  -- whether it could hold the key beside those who do, were there no line
  v_room := NOT v_closed AND NOT v_delayed AND (inside.heads = 0 OR (p_mode <> 'e' AND inside.mode = p_mode))
    AND (p_mode <> 'p' OR inside.taken + p_take <= least(p_permits, inside.permits));

  IF v_room AND (ahead.heads = 0 OR (p_mode <> 'e' AND ahead.alike AND (p_mode <> 'p'
    OR inside.taken + ahead.taken + p_take <= least(p_permits, inside.permits, ahead.permits)))) THEN
    IF v_ticket IS NOT NULL THEN
      DELETE FROM ${waiter} AS w WHERE w.key = p_key AND w.owner = p_owner;
    END IF;
    l.fence := greatest(l.fence + 1, ${MICROS});
    IF p_mode = 'e' THEN
      UPDATE ${lock} AS t
         SET owner = p_owner, fence = l.fence, lingers = false, channel = p_channel,
             lease_until = ${LEASE_END}, closed_until = ${CLOSED_END},
             crowded = l.crowded AND EXISTS (SELECT FROM ${waiter} AS w WHERE w.key = p_key)
       WHERE t.key = p_key;
    ELSE
      UPDATE ${lock} AS t SET owner = NULL, fence = l.fence, crowded = true WHERE t.key = p_key;
      INSERT INTO ${holder} (key, owner, mode, take, permits, fence, lease_until, closed_until, channel)
      VALUES (p_key, p_owner, p_mode, p_take, p_permits, l.fence, ${LEASE_END}, ${CLOSED_END}, p_channel);
      IF v_dropped > 0 THEN
        PERFORM ${wake}(p_key);
      END IF;
    END IF;
    RETURN 'g ' || l.fence;
  END IF;

  -- A place in the line need not outlive a crash of the server, so nobody waits for the disk.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF v_dropped > 0 THEN
    PERFORM ${wake}(p_key);
  END IF;
  IF p_queue AND v_ticket IS NOT NULL THEN
    UPDATE ${waiter} AS w SET seen_at = clock_timestamp(), channel = p_channel
     WHERE w.key = p_key AND w.owner = p_owner;
  ELSIF p_queue THEN
    INSERT INTO ${waiter} (key, owner, mode, take, permits, seen_at, channel)
    VALUES (p_key, p_owner, p_mode, p_take, p_permits, clock_timestamp(), p_channel);
    IF NOT l.crowded THEN
      UPDATE ${lock} AS t SET crowded = true WHERE t.key = p_key;
    END IF;
  END IF;

  IF v_delayed THEN
    -- a lease of its own that ran out, or lingers
    v_end := h.closed_until;
  ELSIF v_closed THEN
    v_end := l.closed_until;
    v_holder := CASE WHEN l.lingers OR l.lease_until > v_now THEN l.owner ELSE '' END;
  ELSIF v_room THEN
    -- held back by the line alone: until its head has been silent for too long
    SELECT w.seen_at + interval '1 second' INTO v_end FROM ${waiter} AS w WHERE w.key = p_key ORDER BY w.ticket LIMIT 1;
  ELSE
    -- permits may be enough when the first comes back; anything else waits for the last
    SELECT CASE WHEN inside.mode = p_mode THEN min(t.closed_until) ELSE max(t.closed_until) END,
           (array_agg(t.owner ORDER BY t.fence) FILTER (WHERE t.lingers OR t.lease_until > clock_timestamp()))[1]
      INTO v_end, v_holder FROM ${holder} AS t WHERE t.key = p_key;
  END IF;
  RETURN format('b %s %s %s', greatest(0, extract(epoch FROM v_end - clock_timestamp()) * 1000), ahead.heads,
    coalesce(v_holder, ''));
END $$;
`;
}

/**
 * Gives a lock back, and claims it for the next caller of the same process, in one step. Answers what \`release\`
 * answers, a space, and what \`claim\` answers.
 */
export function pass({ lock, gone, claim: claimName, release, pass: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_from text, ${CLAIM_PARAMETERS}) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_fence bigint;
  v_marked boolean;
  v_released text;
BEGIN
  UPDATE ${lock} AS l
     SET owner = p_owner, released = p_from, fence = greatest(l.fence + 1, ${MICROS}), channel = p_channel,
         lease_until = ${LEASE_END}, closed_until = ${CLOSED_END}
   WHERE l.key = p_key AND l.owner = p_from AND NOT l.crowded AND NOT l.lingers AND l.lease_until > clock_timestamp()
     AND p_mode = 'e'
  RETURNING l.fence, l.marked_until > clock_timestamp() INTO v_fence, v_marked;
  IF NOT FOUND THEN
    v_released := ${release}(p_key, p_from, 0);
    RETURN v_released || ' ' || ${claimName}(p_key, p_owner, p_mode, p_take, p_permits, p_ttl, p_delay, p_queue, p_channel);
  END IF;
  IF v_marked THEN
    IF EXISTS (SELECT FROM ${gone} AS g WHERE g.key = p_key AND g.owner = p_owner) THEN
      UPDATE ${lock} AS l SET owner = NULL, lease_until = '-infinity', closed_until = '-infinity' WHERE l.key = p_key;
      RETURN '1 x';
    END IF;
  END IF;
  RETURN '1 g ' || v_fence;
END $$;
`;
}
