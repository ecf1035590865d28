import type { Client } from 'pg';
import { indexAscends, rangeColumns } from '../catalog/key-order';
import type { KeyColumn, Relation } from '../catalog/relations';
import { sql } from '../sql';
import { usableKey } from './relation-sql';

/** Chunks that the rows of one value may fill: all of them are read by one statement. */
const MOST_CHUNKS = 10;

/** Bytes of a row, for tables whose rows nobody has counted yet. */
const USUAL_ROW = 100;

/**
 * The columns by which a relation is cut into chunks that both ends have alike; none where it has to be read in another
 * order. That is so where the ends may sort its keys differently, and where only the first columns of the key are sorted
 * alike and so many rows have one value of them that a chunk might be the whole relation.
 *
 * @param chunkRows rows that a chunk should have
 */
export async function chunkColumns(
  source: Client,
  relation: Relation,
  chunkRows: number,
): Promise<readonly KeyColumn[]> {
  const key = usableKey(relation);
  if (key === undefined || !(await indexAscends(source, key))) return [];
  const columns = rangeColumns(key);
  const rows = relation.rows || relation.bytes / USUAL_ROW;
  const most = MOST_CHUNKS * chunkRows;
  if (columns.length === 0 || columns.length === key.columns.length || rows <= most) return columns;
  return rows * (await commonestShare(source, relation, columns)) <= most ? columns : [];
}

/** Share of the rows that have the commonest value of these columns, at most, by the statistics; 1 without them. */
async function commonestShare(source: Client, relation: Relation, columns: readonly KeyColumn[]): Promise<number> {
  const { rows } = await source.query(
    sql`
      SELECT min(greatest(most_common_freqs[1], CASE WHEN n_distinct > 0 THEN 1 / n_distinct
        WHEN n_distinct < 0 THEN 1 / greatest(1, -n_distinct * $4::float8) ELSE 1 END))::float8 AS share
      FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = ANY ($3) AND NOT inherited`,
    [relation.schema, relation.name, columns.map(({ name }) => name), relation.rows],
  );
  return (rows[0] as { share: number | null }).share ?? 1;
}
