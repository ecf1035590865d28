import { sql } from '../sql';
import { bad, ok, warn, type Check } from './finding';

const QUERY = sql`
  SELECT current_setting('max_connections')::int
      - current_setting('superuser_reserved_connections')::int AS most,
    count(*)::int AS used,
    count(*) FILTER (
      WHERE datname = current_database() AND usename IS DISTINCT FROM current_user
    )::int AS applications
  FROM pg_catalog.pg_stat_activity
  WHERE coalesce(backend_type, 'client backend') = 'client backend' AND datname IS NOT NULL`;

/** How many connections of the target are taken, and whether anybody came at all. */
export const connectionCheck: Check = {
  name: 'connections',
  query: QUERY,
  unasked: 'bad',
  ask: async ({ config, sessions }) => {
    const { rows } = await (await sessions.on('target')).query(QUERY);
    const { most, used, applications } = rows[0] as { most: number; used: number; applications: number };
    const figure = `${used} of ${most} connections in use, ${applications} by applications`;
    if (used >= most) return bad(figure, 'none is left');
    if (100 * used >= config.watch.connectionsPercent * most)
      return warn(figure, `${config.watch.connectionsPercent} % or more: raise max_connections, or use a pooler`);
    return applications === 0 ? warn(figure, 'no application has come: point them at the target') : ok(figure);
  },
};
