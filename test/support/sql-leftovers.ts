/**
 * Whatever a lock left in the tables that counts still. Rows whose time is over are documented to stay until somebody
 * comes by: the last fence of a key, the dead, and marks of owners who gave up.
 */
export async function sqlLeftovers(
  query: (text: string) => Promise<readonly Record<string, unknown>[]>,
  name = 'interlock',
): Promise<string[]> {
  const rows = [
    ...(await query(`SELECT * FROM ${name}_lock WHERE closed_until > CURRENT_TIMESTAMP`)),
    ...(await query(`SELECT * FROM ${name}_holder WHERE closed_until > CURRENT_TIMESTAMP`)),
    ...(await query(`SELECT * FROM ${name}_waiter WHERE seen_at > CURRENT_TIMESTAMP - INTERVAL '1' SECOND`)),
  ];
  return rows.map((row) => JSON.stringify(row));
}
