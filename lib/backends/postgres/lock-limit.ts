/**
 * Waiting for a row that somebody has locked ends before the caller gives up, and then it is certain that nothing was
 * done. A limit of the user's own is left as it is.
 */
const LIMIT_MS = 800;

/** In a function. */
export const LOCK_LIMIT = `
  IF current_setting('lock_timeout') = '0' THEN
    PERFORM set_config('lock_timeout', '${LIMIT_MS}', true);
  END IF;`;

/** Behind a SELECT of one row: before that row is made. */
export const WITH_LOCK_LIMIT = `FROM (
  SELECT CASE WHEN current_setting('lock_timeout') = '0' THEN set_config('lock_timeout', '${LIMIT_MS}', true) END
) AS limited`;

/** For all that a connection will do. */
export const SET_LOCK_LIMIT = `SET lock_timeout = '${LIMIT_MS}ms'`;
