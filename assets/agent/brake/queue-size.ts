import type { Client } from 'pg';
import { CAPTURE_SCHEMA } from '../capture/names';
import { literal, sql } from '../sql';

/** Tables that are measured in one statement; each is opened, and all its files are looked at. */
const PIECE = 1_000;

const SIZE = sql`
  SELECT coalesce(sum(pg_total_relation_size(q.oid)), 0)::float8 AS bytes, count(*)::int AS tables, max(q.oid)::text AS last
  FROM (
    SELECT c.oid FROM pg_class c
    WHERE c.oid > $1 AND c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = ${literal(CAPTURE_SCHEMA)})
    ORDER BY c.oid LIMIT $2) AS q`;

/** Measures what capture takes of the source's disk, again and again, some tables at a time. */
export class QueueSize {
  private bytes = 0;
  private last = '0';

  /** @param piece tables in one statement. @default as many as are measured in a moment */
  constructor(private readonly piece = PIECE) {}

  /** Measures the next tables. Returns the size of all, in bytes, with the last of them; the next step begins anew. */
  async step(source: Client): Promise<number | undefined> {
    const { rows } = await source.query(SIZE, [this.last, this.piece]);
    const { bytes, tables, last } = rows[0] as { bytes: number; tables: number; last: string | null };
    const sum = this.bytes + bytes;
    const isAll = tables < this.piece;
    this.bytes = isAll ? 0 : sum;
    this.last = isAll ? '0' : (last ?? '0');
    return isAll ? sum : undefined;
  }

  /** Measures what is left of the tables. */
  async rest(source: Client): Promise<number> {
    for (;;) {
      const bytes = await this.step(source);
      if (bytes !== undefined) return bytes;
    }
  }
}

/** Reads what capture takes of the source's disk; bytes. */
export const readQueueBytes = (source: Client): Promise<number> => new QueueSize().rest(source);
