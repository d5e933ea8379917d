import type { PostgresNames } from './postgres-names.js';

/**
 * The tables.
 *
 * - `lock`: one row a key, and who holds it exclusively. Every step on a key locks its row first; so the steps on one
 *   key come one after another, and each sees what the one before it did. The row stays after a release, because a
 *   changed row costs less than a new one; what was idle for long is swept away, and leaves its fence in `floor`.
 * - `holder`: who holds a key shared or by permits.
 * - `waiter`: who stands in the line. It is not written to the log: after a crash those who wait join it again.
 * - `gone`: owners who gave up; a claim of theirs that arrives late is refused. `marked_until` in the row of the lock says
 *   how long there may be any, so that others need not look.
 *
 * No column that changes with each lock is indexed, so an update stays on its page (HOT) and no index grows.
 */
export function tables({ lock, holder, waiter, gone, floor }: PostgresNames): string {
  return `
CREATE TABLE IF NOT EXISTS ${lock} (
  key text COLLATE "C" PRIMARY KEY,
  fence bigint NOT NULL,
  owner text COLLATE "C",
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  closed_until timestamptz NOT NULL DEFAULT '-infinity',
  lingers boolean NOT NULL DEFAULT false,
  channel text NOT NULL DEFAULT '',
  released text COLLATE "C",
  crowded boolean NOT NULL DEFAULT false,
  marked_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS ${holder} (
  key text COLLATE "C" NOT NULL REFERENCES ${lock} ON DELETE CASCADE,
  owner text COLLATE "C" NOT NULL,
  mode text NOT NULL,
  take integer NOT NULL,
  permits integer NOT NULL,
  fence bigint NOT NULL,
  lease_until timestamptz NOT NULL,
  closed_until timestamptz NOT NULL,
  lingers boolean NOT NULL DEFAULT false,
  channel text NOT NULL,
  PRIMARY KEY (key, owner)
) WITH (fillfactor = 70);

CREATE UNLOGGED TABLE IF NOT EXISTS ${waiter} (
  key text COLLATE "C" NOT NULL REFERENCES ${lock} ON DELETE CASCADE,
  owner text COLLATE "C" NOT NULL,
  ticket bigint GENERATED ALWAYS AS IDENTITY,
  mode text NOT NULL,
  take integer NOT NULL,
  permits integer NOT NULL,
  seen_at timestamptz NOT NULL,
  channel text NOT NULL,
  PRIMARY KEY (key, owner),
  UNIQUE (key, ticket)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS ${gone} (
  key text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (key, owner)
);
CREATE INDEX IF NOT EXISTS ${gone.split('.').at(-1)?.replaceAll('"', '')}_until ON ${gone} (until);

CREATE TABLE IF NOT EXISTS ${floor} (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  fence bigint NOT NULL
);
INSERT INTO ${floor} (fence) VALUES (0) ON CONFLICT DO NOTHING;
`;
}
