import { LOCK_LIMIT } from '../lock-limit.js';
import type { PostgresNames } from '../postgres-names.js';

const FREE = "owner = NULL, lease_until = '-infinity', closed_until = '-infinity'";

/**
 * Gives the lock back, and wakes who comes next. Answers '1' when it was released, '0' when there was nothing to release.
 *
 * Whoever held it exclusively leaves nobody inside. So where the head of the line is alive, and wants it alone, it is the
 * one to be told, and nothing else has to be looked at.
 */
export function release({ lock, waiter, leave, free, release: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text, p_owner text, p_linger integer) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_crowded boolean;
  v_told boolean;
BEGIN
  -- the usual case first; it has no variables of rows, because to set up those costs as much as the update
  IF p_linger = 0 THEN
    UPDATE ${lock} AS t SET ${FREE}, released = p_owner
     WHERE t.key = p_key AND t.owner = p_owner AND NOT t.lingers AND t.lease_until > clock_timestamp()
    RETURNING t.crowded INTO v_crowded;
    IF FOUND THEN
      IF NOT v_crowded THEN
        RETURN '1';
      END IF;
      SELECT pg_notify(w.channel, w.owner) IS NOT NULL INTO v_told FROM (
        SELECT * FROM ${waiter} AS t WHERE t.key = p_key ORDER BY t.ticket LIMIT 1
      ) AS w WHERE w.mode = 'e' AND w.channel <> ''
         AND w.seen_at BETWEEN clock_timestamp() - interval '1 second' AND clock_timestamp() + interval '1 second';
      IF NOT FOUND THEN
        PERFORM ${free}(p_key);
      END IF;
      RETURN '1';
    END IF;
  END IF;
  RETURN ${leave}(p_key, p_owner, p_linger);
END $$;
`;
}

/** The rest of a release. */
export function leave({ lock, holder, free, leave: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text, p_owner text, p_linger integer) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  l ${lock}%ROWTYPE;
  h ${holder}%ROWTYPE;
  v_end timestamptz;
BEGIN
  SELECT * INTO l FROM ${lock} AS t WHERE t.key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN '0';
  END IF;
  v_end := clock_timestamp() + p_linger * interval '1 millisecond';
  IF l.owner = p_owner AND l.lease_until > clock_timestamp() THEN
    IF l.lingers THEN
      RETURN '1';
    ELSIF p_linger > 0 THEN
      UPDATE ${lock} AS t SET lingers = true, lease_until = v_end, closed_until = v_end, released = p_owner WHERE t.key = p_key;
      RETURN '1';
    END IF;
    UPDATE ${lock} AS t SET ${FREE}, released = p_owner WHERE t.key = p_key;
  ELSE
    SELECT * INTO h FROM ${holder} AS t WHERE t.key = p_key AND t.owner = p_owner FOR UPDATE;
    IF NOT FOUND OR h.lease_until <= clock_timestamp() THEN
      RETURN CASE WHEN l.released = p_owner THEN '1' ELSE '0' END;
    ELSIF h.lingers THEN
      RETURN '1';
    ELSIF p_linger > 0 THEN
      UPDATE ${holder} AS t SET lingers = true, lease_until = v_end, closed_until = v_end
       WHERE t.key = p_key AND t.owner = p_owner;
      RETURN '1';
    END IF;
    DELETE FROM ${holder} AS t WHERE t.key = p_key AND t.owner = p_owner;
    UPDATE ${lock} AS t SET released = p_owner WHERE t.key = p_key;
  END IF;
  PERFORM ${free}(p_key);
  RETURN '1';
END $$;
`;
}

/**
 * Gives up the place of an owner and whatever was granted to it, refuses it from now on, and wakes who comes next. The
 * row of the lock is made if there is none: a claim that is on its way has to wait for it, and finds the mark then.
 */
export function abandon({ lock, holder, waiter, gone, floor, free, abandon: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text, p_owner text, p_keep integer) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN${LOCK_LIMIT}
  INSERT INTO ${lock} AS t (key, fence, marked_until)
  SELECT p_key, f.fence, clock_timestamp() + p_keep * interval '1 millisecond' FROM ${floor} AS f
  ON CONFLICT (key) DO UPDATE SET marked_until = greatest(t.marked_until, excluded.marked_until);
  INSERT INTO ${gone} AS g (key, owner, until) VALUES (p_key, p_owner, clock_timestamp() + p_keep * interval '1 millisecond')
  ON CONFLICT (key, owner) DO UPDATE SET until = excluded.until;
  -- old marks go as new ones come
  DELETE FROM ${gone} AS g USING (
    SELECT key, owner FROM ${gone} WHERE until <= clock_timestamp() ORDER BY until LIMIT 8 FOR UPDATE SKIP LOCKED
  ) AS old WHERE g.key = old.key AND g.owner = old.owner;

  UPDATE ${lock} AS t SET ${FREE}
   WHERE t.key = p_key AND t.owner = p_owner AND NOT t.lingers AND t.lease_until > clock_timestamp();
  DELETE FROM ${holder} AS t
   WHERE t.key = p_key AND t.owner = p_owner AND NOT t.lingers AND t.lease_until > clock_timestamp();
  DELETE FROM ${waiter} AS w WHERE w.key = p_key AND w.owner = p_owner;
  PERFORM ${free}(p_key);
  RETURN '1';
END $$;
`;
}

/** Takes the lock from all who hold it, tells them, and wakes who comes next. Answers '1', or '0' when nobody held it. */
export function evict({ lock, holder, free, evict: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  l ${lock}%ROWTYPE;
  h ${holder}%ROWTYPE;
  v_found text := '0';
BEGIN${LOCK_LIMIT}
  SELECT * INTO l FROM ${lock} AS t WHERE t.key = p_key FOR NO KEY UPDATE;
  IF l.closed_until > clock_timestamp() THEN
    v_found := '1';
    IF l.channel <> '' THEN
      PERFORM pg_notify(l.channel, '!' || l.owner);
    END IF;
    UPDATE ${lock} AS t SET ${FREE} WHERE t.key = p_key;
  END IF;
  FOR h IN DELETE FROM ${holder} AS t WHERE t.key = p_key RETURNING t.* LOOP
    IF h.closed_until > clock_timestamp() THEN
      v_found := '1';
      IF h.channel <> '' THEN
        PERFORM pg_notify(h.channel, '!' || h.owner);
      END IF;
    END IF;
  END LOOP;
  PERFORM ${free}(p_key);
  RETURN v_found;
END $$;
`;
}

/** Somebody left a key whose row is locked: forgets the dead, and wakes who comes next. */
export function free({ lock, holder, waiter, purge, wake, free: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_crowded boolean;
BEGIN
  PERFORM ${purge}(p_key);
  v_crowded := EXISTS (SELECT FROM ${waiter} AS w WHERE w.key = p_key) OR EXISTS (SELECT FROM ${holder} AS h WHERE h.key = p_key);
  UPDATE ${lock} AS t SET crowded = v_crowded WHERE t.key = p_key AND t.crowded <> v_crowded;
  IF v_crowded THEN
    PERFORM ${wake}(p_key);
  END IF;
END $$;
`;
}

/**
 * Forgets the holders whose time is over and the places that fell silent, and tells how many. Who is being renewed, or
 * shows life, at this moment is left alone. A place that was seen in the future is one from before the clock was set
 * back: whoever is alive takes it anew.
 */
export function purge({ holder, waiter, purge: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_holders integer;
  v_waiters integer;
BEGIN
  DELETE FROM ${holder} AS h USING (
    SELECT owner FROM ${holder} WHERE key = p_key AND closed_until <= clock_timestamp() FOR UPDATE SKIP LOCKED
  ) AS dead WHERE h.key = p_key AND h.owner = dead.owner;
  GET DIAGNOSTICS v_holders = ROW_COUNT;
  DELETE FROM ${waiter} AS w USING (
    SELECT owner FROM ${waiter} WHERE key = p_key
       AND seen_at NOT BETWEEN clock_timestamp() - interval '1 second' AND clock_timestamp() + interval '1 second' FOR UPDATE SKIP LOCKED
  ) AS dead WHERE w.key = p_key AND w.owner = dead.owner;
  GET DIAGNOSTICS v_waiters = ROW_COUNT;
  RETURN v_holders + v_waiters;
END $$;
`;
}

/**
 * Tells those at the front of the line who fit in by now, of a key whose row is locked. Only so many at a time: who
 * goes in or leaves lets the next one come.
 */
export function wake({ lock, holder, waiter, wake: name }: PostgresNames): string {
  return `
CREATE OR REPLACE FUNCTION ${name}(p_key text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_mode text;
  v_taken bigint;
  v_permits integer;
  w ${waiter}%ROWTYPE;
BEGIN
  IF EXISTS (SELECT FROM ${lock} AS t WHERE t.key = p_key AND t.closed_until > clock_timestamp()) THEN
    RETURN;
  END IF;
  SELECT min(h.mode), coalesce(sum(h.take), 0), min(h.permits) INTO v_mode, v_taken, v_permits
    FROM ${holder} AS h WHERE h.key = p_key;
  FOR w IN SELECT * FROM ${waiter} AS t WHERE t.key = p_key ORDER BY t.ticket LIMIT 64 LOOP
    EXIT WHEN v_mode IS NOT NULL AND (w.mode = 'e' OR w.mode <> v_mode);
    v_mode := w.mode;
    v_taken := v_taken + w.take;
    v_permits := least(v_permits, w.permits);
    EXIT WHEN w.mode = 'p' AND v_taken > v_permits;
    IF w.channel <> '' THEN
      PERFORM pg_notify(w.channel, w.owner);
    END IF;
  END LOOP;
END $$;
`;
}
