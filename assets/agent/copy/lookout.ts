import type { Client, QueryResult } from 'pg';
import { sql } from '../sql';

/** How far the copy is, as all processes together have brought it. */
export interface CopyProgress {
  readonly bytesDone: number;
  readonly bytes: number;
  readonly rows: number;
  readonly relationsDone: number;
  readonly relations: number;
}

/** A relation of which every chunk is done. */
export interface Complete {
  /** The relation's quoted name. */
  readonly relation: string;
  /** Whether it may have been read by pages: in pieces, small ones are too. */
  readonly byPages: boolean;
}

/** What the chunks add up to that were done since the last look. */
interface News {
  readonly bytes: number;
  readonly rows: number;
  readonly complete: readonly Complete[];
}

/** What must be asked once only: the schedule does not change while the copy runs. */
const TOTALS = sql`
  SELECT coalesce(sum(bytes), 0)::float8 AS bytes, count(DISTINCT relation)::int AS relations FROM ibex.copy_chunk`;

/**
 * Both what nobody has seen yet and what is left are found by indexes of their own, so that a look costs what was done
 * since the last one, not what there is. The chunk of a relation that is seen last is seen with all others done.
 */
const NEWS = sql`
  WITH news AS (UPDATE ibex.copy_chunk SET unseen = false WHERE unseen RETURNING relation, bytes, rows),
  complete AS (
    SELECT c.relation, bool_or(c.part->>'kind' = 'pages' OR c.given_back > 0) AS "byPages", min(c.rank) AS rank
    FROM (SELECT DISTINCT relation FROM news) AS n JOIN ibex.copy_chunk c USING (relation)
    WHERE NOT EXISTS (SELECT FROM ibex.copy_chunk o WHERE o.relation = n.relation AND NOT o.done)
    GROUP BY c.relation)
  SELECT coalesce(sum(bytes), 0)::float8 AS bytes, coalesce(sum(rows), 0)::float8 AS rows,
    (SELECT coalesce(json_agg(json_build_object('relation', relation, 'byPages', "byPages") ORDER BY rank), '[]')
      FROM complete) AS complete
  FROM news`;

/** Looks at what all processes have copied, in the schedule that `Schedule.prepare` has made ready. One for each copy. */
export class Lookout {
  private readonly done = { bytes: 0, rows: 0, relations: 0 };
  private totals: { readonly bytes: number; readonly relations: number } | undefined;

  constructor(private readonly client: Client) {}

  /** Which relations have become complete since the last look, in the order of work, and how far the copy is. */
  async look(): Promise<{ readonly complete: readonly Complete[]; readonly progress: CopyProgress }> {
    this.totals ??= (await this.client.query(TOTALS)).rows[0] as { bytes: number; relations: number };
    // One message and so one transaction, since others write by this session, too. What a crash forgets is seen again.
    const results = await this.client.query(`SET LOCAL synchronous_commit = off; ${NEWS}`);
    const [, news] = results as unknown as [QueryResult, QueryResult<News>];
    const { bytes, rows, complete } = news.rows[0] as News;
    this.done.bytes += bytes;
    this.done.rows += rows;
    this.done.relations += complete.length;
    const progress = {
      bytesDone: this.done.bytes,
      bytes: this.totals.bytes,
      rows: this.done.rows,
      relationsDone: this.done.relations,
      relations: this.totals.relations,
    };
    return { complete, progress };
  }
}
