import type { Client } from 'pg';
import type { Paced } from '../brake/paced';
import { copiedColumns, type Relation } from '../catalog/relations';
import { Failure } from '../errors';
import type { Lease } from '../lease';
import { identList } from '../sql';
import { selectPart } from './cuts';
import type { CopyFormat } from './format';
import { givingWay } from './give-way';
import { pipe, type Piped } from './pipe';
import type { Chunk } from './schedule';
import { chunkRows, markChunk } from './target-plan';

/** What it takes to copy chunks, the same for all workers. */
export interface CopyTerms {
  readonly relations: ReadonlyMap<string, Relation>;
  readonly format: (relation: Relation) => CopyFormat;
  readonly lease: Lease;
  /** The source's version as one number. */
  readonly sourceVersion: number;
  readonly brake: Paced;
  /** Told of bytes as they go out; answers how long to wait, in milliseconds. */
  readonly onBytes: (bytes: number) => number;
}

/** Size from which a relation that is copied in one piece is worth being frozen at once; bytes. */
const WORTH_FREEZING = 1 << 20;

/**
 * Copies one chunk in one transaction on the target, together with the note that it is there, and under the lease.
 * On the source the rows are one statement's snapshot, which ends with it. Returns what was copied; undefined for a
 * chunk that the target had already, because whoever copied it died before saying so. Throws GivenBack when the source needs its lock or its snapshot.
 */
export async function copyChunk(
  source: Client,
  target: Client,
  terms: CopyTerms,
  relation: Relation,
  chunk: Chunk,
): Promise<Piped | { readonly known: number }> {
  const columns = identList(copiedColumns(relation).map((column) => column.name));
  await target.query(`BEGIN; SET LOCAL session_replication_role = 'replica'`);
  await terms.lease.hold(target, relation, 'others');
  const known = await chunkRows(target, relation, chunk);
  if (known !== undefined) {
    await target.query('ROLLBACK');
    return { known };
  }
  const pid = await lockPlace(source, relation, chunk);
  const binary = terms.format(relation) === 'binary' ? ['FORMAT binary'] : [];
  const freeze = await makeFreezable(target, relation, chunk);
  const from = `COPY ${selectPart(relation, columns, chunk.part, terms.sourceVersion)} TO STDOUT ${options(binary)}`;
  const into = `COPY ${relation.sql} (${columns}) FROM STDIN ${options([...binary, ...freeze])}`;
  const { brake, onBytes } = terms;
  const copied = await givingWay(brake, pid, (signal) => pipe(source, from, target, into, { onBytes, signal }));
  await source.query('COMMIT');
  await markChunk(target, relation, chunk, copied);
  await target.query('COMMIT');
  return copied;
}

const options = (list: readonly string[]): string => (list.length === 0 ? '' : `(${list.join(', ')})`);

/**
 * Keeps the relation from being rewritten while the chunk is read: that moves rows to other pages, past chunks that are
 * read by page, without any trigger seeing it. Throws Failure when it was rewritten before. Returns the pid of the session that has the lock now.
 */
async function lockPlace(source: Client, relation: Relation, chunk: Chunk): Promise<number> {
  await source.query(`BEGIN READ ONLY; LOCK TABLE ONLY ${relation.sql} IN ACCESS SHARE MODE`);
  const { rows } = await source.query('SELECT pg_relation_filenode($1::oid)::text AS file, pg_backend_pid() AS pid', [
    relation.oid,
  ]);
  const { file, pid } = rows[0] as { file: string | null; pid: number };
  if (file === chunk.file || (chunk.part.kind !== 'pages' && file !== null)) return pid;
  throw new Failure(
    `it was rewritten on the source (VACUUM FULL, CLUSTER, TRUNCATE, ALTER TABLE) while it was copied; this table begins anew`,
  );
}

/**
 * Rows may be frozen as they are written only where the same transaction has emptied the table, so only where one
 * transaction copies all of it: another chunk's transaction could not commit rows of its own beside it.
 */
async function makeFreezable(target: Client, relation: Relation, chunk: Chunk): Promise<string[]> {
  if (chunk.part.kind !== 'whole' || chunk.bytes < WORTH_FREEZING) return [];
  await target.query(`TRUNCATE ONLY ${relation.sql}`);
  return ['FREEZE'];
}
