import type { Client } from 'pg';
import { indexAscends } from '../catalog/key-order';
import type { Key, Relation } from '../catalog/relations';
import { ident, sql } from '../sql';
import { KeySteps, OutOfOrder } from './key-range';
import type { Condition } from './relation-sql';

/** What one end's key index shows of a relation beside what its pages hold. */
export interface IndexCheck {
  /** Rows that a sequential pass sees. */
  readonly rows: number;
  /** Rows that ranges of the key see. */
  readonly indexRows: number;
  /** Neighbours in the index that the server's own rules put the other way round. */
  readonly misplaced: number;
  /** Both saw the same rows, in order. */
  readonly ok: boolean;
}

interface Pass {
  readonly rows: string;
  readonly sum: string;
  readonly misplaced: string;
}

const SEQUENTIAL = settings({ seqscan: 'on', indexscan: 'off', indexonlyscan: 'off', bitmapscan: 'off' });
const BY_INDEX = settings({ seqscan: 'off', indexscan: 'on', indexonlyscan: 'on', bitmapscan: 'off', sort: 'off' });

function settings(plans: Readonly<Record<string, string>>): string {
  return Object.entries(plans)
    .map(([name, value]) => `SET LOCAL enable_${name} = ${value}`)
    .join('; ');
}

/**
 * Holds what ranges of the key find against a sequential pass, in one snapshot of one server. An index that is corrupt,
 * or sorted by other rules than the server has now (a newer libc or ICU), hides rows from everything that reads by key:
 * the copy, the appliers, and the comparison itself. Only keys are read and hashed, so that it costs little. The order
 * within ranges is checked for types of PostgreSQL's own; for others only the count and the hashes.
 *
 * The snapshot holds back the server's vacuum, so that nothing is waited for while it lasts: who is to spare the server
 * waits afterwards.
 *
 * @param client a session in no transaction
 */
export async function checkKeyIndex(
  client: Client,
  relation: Relation,
  key: Key,
  chunkRows: number,
): Promise<IndexCheck> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await client.query(SEQUENTIAL);
    const all = await pass(
      client,
      `SELECT count(*) AS rows, coalesce(sum(${hashOf(key)}), 0) AS sum, 0 AS misplaced
      FROM ONLY ${relation.sql} AS t`,
    );
    await client.query(BY_INDEX);
    const seen = (await canRange(client, key))
      ? await byRanges(client, relation, key, chunkRows)
      : await pass(client, inOrder(relation, key));
    await client.query('COMMIT');
    const rows = Number(all.rows);
    const indexRows = Number(seen.rows);
    const misplaced = Number(seen.misplaced);
    return { rows, indexRows, misplaced, ok: rows === indexRows && all.sum === seen.sum && misplaced === 0 };
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Operators of types that live elsewhere are not found by their bare names, and a range would mean something else. */
const canRange = async (client: Client, key: Key): Promise<boolean> =>
  key.columns.every(({ operatorSchema }) => operatorSchema === 'pg_catalog') && (await indexAscends(client, key));

async function byRanges(client: Client, relation: Relation, key: Key, chunkRows: number): Promise<Pass> {
  const steps = new KeySteps(relation, key.columns, chunkRows);
  const sum = { rows: 0, sum: 0n, misplaced: 0 };
  for (let after: readonly string[] | undefined; ;) {
    let upTo: readonly string[] | undefined;
    try {
      upTo = await steps.next(client, { ...(after && { after }) });
    } catch (error) {
      if (!(error instanceof OutOfOrder)) throw error;
      sum.misplaced++;
      break;
    }
    const where = steps.condition({ ...(after && { after }), ...(upTo && { upTo }) });
    const chunk = await pass(client, neighbours(relation, key, where), where.values);
    sum.rows += Number(chunk.rows);
    sum.sum += BigInt(chunk.sum);
    sum.misplaced += Number(chunk.misplaced);
    if (upTo === undefined) break;
    after = upTo;
  }
  return { rows: String(sum.rows), sum: String(sum.sum), misplaced: String(sum.misplaced) };
}

const columnsOf = (key: Key): string[] => key.columns.map((column) => `t.${ident(column.name)}`);

const hashOf = (key: Key): string => `hashtext(ROW(${columnsOf(key).join(', ')})::text)::int8`;

/** The index gives the rows in its order, for which the server does not sort; each is then compared with the one before. */
function neighbours(relation: Relation, key: Key, where: Condition): string {
  const columns = columnsOf(key);
  const before = columns.map((column) => `lag(${column}) OVER w`).join(', ');
  return sql`
    SELECT count(*) AS rows, coalesce(sum(hash), 0) AS sum, count(*) FILTER (WHERE NOT ascends) AS misplaced FROM (
      SELECT ${hashOf(key)} AS hash, (${before}) < (${columns.join(', ')}) AS ascends
      FROM ONLY ${relation.sql} AS t ${where.text} WINDOW w AS (ORDER BY ${columns.join(', ')})) AS s`;
}

const inOrder = (relation: Relation, key: Key): string => sql`
  SELECT count(*) AS rows, coalesce(sum(hash), 0) AS sum, 0 AS misplaced FROM (
    SELECT ${hashOf(key)} AS hash FROM ONLY ${relation.sql} AS t ORDER BY ${columnsOf(key).join(', ')} OFFSET 0) AS s`;

async function pass(client: Client, text: string, values: readonly string[] = []): Promise<Pass> {
  const { rows } = await client.query<Pass>(text, [...values]);
  return rows[0] as Pass;
}
