import type { Client } from 'pg';
import { TRUNCATED } from '../capture/objects';
import { indexAscends, rangeColumns, type KeyRange } from '../catalog/key-order';
import type { Relation } from '../catalog/relations';
import { keyRanges, readsWellBy, sampleBounds } from '../copy/cuts';
import type { Lease } from '../lease';
import { inTransaction } from '../schema/tried';
import { sql } from '../sql';
import type { DirtyKeys } from '../verify/dirty/dirty-keys';
import { analyzeQueue, readTarget } from './cut-queue';

/**
 * A large relation that was truncated, or rewritten, and is copied anew in parts, each with a short snapshot of its own:
 * in one transaction, the source would keep old row versions for as long as all of it takes. The marks that say that it
 * is to be copied anew stand until the last part is there, so whatever is killed before, all of it begins again; a mark
 * that comes meanwhile stays for another time.
 */
export class CopyAnew {
  private cleared: Promise<void> | undefined;

  /**
   * @param marks those that stood before the first part was read
   * @param left parts that are not copied yet
   */
  constructor(
    private readonly relation: Relation,
    private readonly marks: readonly string[],
    private left: number,
  ) {}

  /** Empties the relation on the target, once; to be awaited before a part's transaction begins. */
  clear(target: Client, lease: Lease): Promise<void> {
    this.cleared ??= empty(target, lease, this.relation);
    return this.cleared;
  }

  /** To be called when a part is there. After the last one the relation is to be compared again, and its marks go. */
  async partDone(source: Client, dirty: DirtyKeys | undefined): Promise<void> {
    this.left -= 1;
    if (this.left > 0) return;
    await dirty?.markAll(this.relation);
    await source.query(
      sql`DELETE FROM ${TRUNCATED} WHERE schema_name = $1 AND relation_name = $2 AND ${MARK} = ANY ($3::text[])`,
      [this.relation.schema, this.relation.name, this.marks],
    );
  }
}

/** What tells a mark from all others: its place is its own as long as it stands, and its time is what it was made with. */
const MARK = `ctid::text || ' ' || captured_at::text`;

const empty = (target: Client, lease: Lease, relation: Relation): Promise<void> =>
  inTransaction(target, async () => {
    await target.query(`SET LOCAL session_replication_role = 'replica'`);
    await lease.hold(target, relation);
    await target.query(`DELETE FROM ONLY ${relation.sql}`);
  });

/** How a relation that is copied anew was cut. */
export interface CutAnew {
  readonly ranges: readonly KeyRange[];
  readonly anew: CopyAnew;
}

/**
 * Cuts a truncated relation into parts by its key. Undefined when it goes in one transaction: when it is small, where
 * the target has another unique index beside the key's, which rows of different snapshots may violate, and where the
 * source would have to look for each row by itself.
 *
 * @param chunkBytes size of a part, about
 */
export async function cutAnew(
  source: Client,
  target: Client,
  relation: Relation,
  chunkBytes: number,
): Promise<CutAnew | undefined> {
  const { key } = relation;
  const columns = key === undefined || key.unusable !== undefined ? [] : rangeColumns(key);
  if (key === undefined || columns.length === 0 || !(await indexAscends(source, key))) return undefined;
  // The marks first: one that comes later is not forgotten.
  const { rows } = await source.query(
    sql`
      SELECT pg_table_size($3::oid)::float8 AS bytes,
        ARRAY(SELECT ${MARK} FROM ${TRUNCATED} WHERE schema_name = $1 AND relation_name = $2) AS marks`,
    [relation.schema, relation.name, relation.oid],
  );
  const { bytes, marks } = rows[0] as { bytes: number; marks: string[] };
  const parts = Math.ceil(bytes / chunkBytes);
  if (parts <= 1 || marks.length === 0 || (await readTarget(target, relation)).uniques !== 1) return undefined;
  if (!(await readsWellBy(source, relation, columns))) return undefined;
  const bounds = await sampleBounds(source, relation, columns, parts);
  if (bounds.length === 0) return undefined;
  // Each part forgets the changes of its keys.
  await analyzeQueue(source, relation);
  const ranges = keyRanges(bounds);
  return { ranges, anew: new CopyAnew(relation, marks, ranges.length) };
}
