import type { Client } from 'pg';
import { queueOf } from '../capture/names';
import type { Relation } from '../catalog/relations';

/** A snapshot of the source that several sessions read. */
export interface Exported {
  readonly name: string;
  /** The files of each relation and its queue, by the relation's quoted name, before the snapshot was taken. */
  readonly files: Files;
}

type Files = ReadonlyMap<string, string | undefined>;

/**
 * SQL for the files that hold a relation and its queue now. What is rewritten, as a queue is when it is mended, has
 * another, and older snapshots may show it empty.
 *
 * @param oid of the relation
 * @param queue its quoted name, as text
 */
export const filesOf = (oid: string, queue: string): string =>
  `concat_ws(' ', pg_relation_filenode(${oid}), pg_relation_filenode(to_regclass(${queue})))`;

/** Does work with a snapshot of the source, which a transaction of this session holds for as long as it takes. */
export async function withSnapshot<T>(
  source: Client,
  relations: readonly Relation[],
  work: (snapshot: Exported) => Promise<T>,
): Promise<T> {
  // First: what is rewritten between the two is then taken for rewritten.
  const files = await readFiles(source, relations);
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const { rows } = await source.query('SELECT pg_export_snapshot() AS name');
    return await work({ ...(rows[0] as { name: string }), files });
  } finally {
    await source.query('COMMIT');
  }
}

/**
 * Which relations have been rewritten since a snapshot was taken, or their queues, which it may show empty: those that
 * were not brought to it before that were left as they are.
 */
export async function rewrittenSince(
  { files }: Exported,
  source: Client,
  relations: readonly Relation[],
): Promise<Relation[]> {
  const now = await readFiles(source, relations);
  return relations.filter(({ sql: name }) => files.get(name) !== now.get(name));
}

async function readFiles(source: Client, relations: readonly Relation[]): Promise<Files> {
  const { rows } = await source.query(
    `SELECT ARRAY(SELECT ${filesOf('r.oid', 'r.queue')}
       FROM unnest($1::oid[], $2::text[]) WITH ORDINALITY AS r (oid, queue, n) ORDER BY n) AS files`,
    [relations.map(({ oid }) => oid), relations.map(queueOf)],
  );
  const { files } = rows[0] as { files: string[] };
  return new Map(relations.map(({ sql: name }, index) => [name, files[index]]));
}
