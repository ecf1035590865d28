import type { Client } from 'pg';
import type { Paced } from '../brake/paced';
import { copiedColumns, type Relation } from '../catalog/relations';
import { Failure } from '../errors';
import type { Lease } from '../lease';
import { identList } from '../sql';
import { selectPart } from './cuts';
import type { CopyFormat } from './format';
import { GivenBack, givingWay } from './give-way';
import { piecesOf } from './pieces';
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
 * On the source its rows, or those of each of its pieces, are one statement's snapshot, which ends with it. Returns what
 * was copied; undefined for a chunk that the target had already, because whoever copied it died before saying so. Throws
 * GivenBack when the source needs its lock or its snapshot.
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
  const binary = terms.format(relation) === 'binary' ? ['FORMAT binary'] : [];
  const freeze = await makeFreezable(target, relation, chunk);
  const into = `COPY ${relation.sql} (${columns}) FROM STDIN ${options([...binary, ...freeze])}`;
  const { brake, onBytes, sourceVersion } = terms;
  const copied = { rows: 0, bytes: 0 };
  let file: string | undefined;
  for (const piece of await piecesOf(source, relation, chunk, sourceVersion)) {
    // Between two pieces nothing of the source is held.
    if (file !== undefined) await brake.clear();
    const place = await lockPlace(source, relation, chunk);
    if (file !== undefined && file !== place.file) throw new GivenBack('it was rewritten between two of its pieces');
    file = place.file;
    const from = `COPY ${selectPart(relation, columns, piece, sourceVersion)} TO STDOUT ${options(binary)}`;
    const { rows, bytes } = await givingWay(brake, place.pid, (signal) =>
      pipe(source, from, target, into, { onBytes, signal }),
    );
    await source.query('COMMIT');
    copied.rows += rows;
    copied.bytes += bytes;
  }
  await markChunk(target, relation, chunk, copied);
  await target.query('COMMIT');
  return copied;
}

const options = (list: readonly string[]): string => (list.length === 0 ? '' : `(${list.join(', ')})`);

/** The session that has the lock now, and the file that it keeps in its place. */
interface Place {
  readonly pid: number;
  readonly file: string;
}

/**
 * Keeps the relation from being rewritten while the chunk is read: that moves rows to other pages, past chunks that are
 * read by page, without any trigger seeing it. Throws Failure when it was rewritten before.
 */
async function lockPlace(source: Client, relation: Relation, chunk: Chunk): Promise<Place> {
  await source.query(`BEGIN READ ONLY; LOCK TABLE ONLY ${relation.sql} IN ACCESS SHARE MODE`);
  const { rows } = await source.query('SELECT pg_relation_filenode($1::oid)::text AS file, pg_backend_pid() AS pid', [
    relation.oid,
  ]);
  const { file, pid } = rows[0] as { file: string | null; pid: number };
  if (file !== null && (file === chunk.file || chunk.part.kind !== 'pages')) return { file, pid };
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
