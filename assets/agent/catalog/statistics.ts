import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { qualified, sql } from '../sql';
import { hiddenSchemas, isApplicationSchema } from './schemas';

/**
 * Tables and materialized views with rows of which the planner knows nothing. Counters of ANALYZE are lost when a server
 * is killed, and what it found is not; so either will do.
 */
export const WITHOUT_STATISTICS = sql`
  SELECT n.nspname AS schema, c.relname AS name, pg_relation_size(c.oid)::float8 AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND ${isApplicationSchema('n.nspname', '$1')} AND pg_relation_size(c.oid) > 0
    AND NOT EXISTS (SELECT FROM pg_stat_user_tables s WHERE s.relid = c.oid
      AND (s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL))
    AND NOT EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
  ORDER BY bytes DESC`;

/** A table without statistics. */
export interface Unanalyzed {
  /** Both names, quoted. */
  readonly sql: string;
  /** Main fork; bytes. */
  readonly bytes: number;
}

/** Tables and materialized views of the application that have rows and no statistics, largest first. */
export async function withoutStatistics(client: Client, config: AgentConfig): Promise<Unanalyzed[]> {
  const { rows } = await client.query(WITHOUT_STATISTICS, [hiddenSchemas(config)]);
  return (rows as { schema: string; name: string; bytes: number }[]).map(({ schema, name, bytes }) => ({
    sql: qualified(schema, name),
    bytes,
  }));
}
