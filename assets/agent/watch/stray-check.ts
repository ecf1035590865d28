import { OTHERS, readRolledBack, ROLLED_BACK } from '../cutover/old-end';
import { firstOf } from '../ready/gate';
import { sql } from '../sql';
import { ok, warn, type Check } from './finding';

const SESSIONS = sql`
  SELECT coalesce(usename, 'unknown') || '@' || coalesce(host(client_addr), 'local') AS who, count(*)::int AS count
  FROM ${OTHERS}
  GROUP BY 1 ORDER BY 2 DESC, 1`;

/**
 * Who is still connected to the end that was left. The fence refuses what they write, each time with a transaction that is
 * rolled back; a reader gets old rows and no error at all.
 */
export function strayCheck(): Check {
  let before: number | undefined;
  return {
    name: 'strays at the source',
    query: `${SESSIONS}; ${ROLLED_BACK}`,
    // A source that is gone has no strays.
    unasked: 'warn',
    ask: async ({ sessions }) => {
      const source = await sessions.on('source');
      const { rows } = await source.query(SESSIONS);
      const count = await readRolledBack(source);
      const rolledBack = Math.max(0, count - (before ?? count));
      before = count;
      const who = rows as { who: string; count: number }[];
      const all = who.reduce((sum, one) => sum + one.count, 0);
      if (all === 0) return ok('nobody is connected');
      const figure = `${all} sessions of others, ${rolledBack} transactions rolled back there since the last look`;
      const cause = rolledBack > 0 ? 'their writes are refused' : 'they write nothing, and may read what is old';
      return warn(figure, `${cause}: ${firstOf(who.map((one) => `${one.who} (${one.count})`))}`);
    },
  };
}
