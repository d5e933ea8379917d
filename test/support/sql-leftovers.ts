type Query = (text: string) => Promise<readonly Record<string, unknown>[]>;

/**
 * Whatever a lock left in the tables that counts still. Rows whose time is over are documented to stay until somebody
 * comes by: the last fence of a key, the dead, and marks of owners who gave up.
 */
export function sqlLeftovers(query: Query, name = 'interlock'): Promise<string[]> {
  return leftovers(query, name, 'clock_timestamp()', "interval '1 second'");
}

/** The same where times are microseconds. */
export function mysqlLeftovers(query: Query, name = 'interlock'): Promise<string[]> {
  return leftovers(query, name, "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))", '1000000');
}

async function leftovers(query: Query, name: string, now: string, silence: string): Promise<string[]> {
  const rows = [
    ...(await query(`SELECT * FROM ${name}_lock WHERE closed_until > ${now}`)),
    ...(await query(`SELECT * FROM ${name}_holder WHERE closed_until > ${now}`)),
    ...(await query(`SELECT * FROM ${name}_waiter WHERE seen_at > ${now} - ${silence}`)),
  ];
  return rows.map((row) => JSON.stringify(row));
}
