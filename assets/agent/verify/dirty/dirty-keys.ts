import type { Client } from 'pg';
import { keyOf } from '../../capture/objects';
import { keyText } from '../../catalog/key-text';
import type { Relation } from '../../catalog/relations';
import { copyRows } from '../../catch-up/copy-rows';
import type { Context } from '../../context';
import { literal, qualified, QUOTED_NAME, sql } from '../../sql';
import { untilAppliersEnd } from './appliers-end';

/** What is known of one relation, and what is left to compare of it. */
export interface Standing {
  readonly relation: Relation;
  /** When a comparison of it as a whole last found it equal; null when none has, or not since it was copied anew. */
  readonly verifiedAt: Date | null;
  /** The source's rows that comparison saw; null as above. */
  readonly rows: number | null;
  /** Whether it was verified once, and was copied anew, or left behind by a rollback, since. */
  readonly again: boolean;
  /** Keys applied since they were compared last; one forgotten several times counts as often. */
  readonly keys: number;
  /** Keys among them that were looked at again and again, and differ. */
  readonly different: number;
}

/** What must be compared again before all is known to be equal. */
export interface DirtyCount {
  readonly keys: number;
  readonly different: number;
  /** Relations that no verify has found equal as a whole, or that were copied anew since; quoted names. */
  readonly unverified: readonly string[];
}

/** A key that is to be looked at again. */
export interface DirtyKey {
  /** The marks that say so. */
  readonly ids: readonly string[];
  readonly key: readonly string[];
  readonly strikes: number;
  readonly lastHash: string | null;
}

/** A key, and its relation by name. */
export interface MarkedKey extends DirtyKey {
  readonly schema: string;
  readonly name: string;
}

/** Marks of any relation, each key once. */
export interface DirtyPage {
  readonly keys: readonly MarkedKey[];
  /** The last mark that was read; where the next page begins. */
  readonly last: string;
}

/** Where a comparison of a whole relation began. */
export interface Begun {
  readonly round: string;
  /** Marks up to this one are older than the comparison. */
  readonly upTo: string;
}

/** Looks that agree, and prove a difference. */
export const STRIKES = 3;

/** So many times as many marks may stay of a relation that is being compared: at some point the host's disk counts more. */
const WHILE_COMPARED = 5;

/** A comparison that began earlier is taken for killed. */
const LONGEST_COMPARISON = `interval '1 day'`;

/** Table of one session, empty outside of a transaction. */
const STAGE = 'pg_temp.ibex_forgotten';

/** Marks that are read for each key that is asked for: in a backlog, keys that change often have several. */
const MARKS_FOR_KEY = 4;

/**
 * Memory, on the host, of what was applied since it was last compared. From the moment that a comparison of a relation
 * begins, whoever forgets a change of it first leaves a mark here, so that at any time each row that may differ is either
 * in the relation's queue of changes or marked. Keys rather than ranges: writes that are spread over a table would make
 * every range dirty, and a key costs no more to compare than it cost to apply.
 */
export class DirtyKeys {
  private hasStage = false;

  private constructor(private readonly host: Client) {}

  /** Works with a session of its own on the host's database, which ends with the context at the latest. */
  static async open(context: Pick<Context, 'connectMemory'>): Promise<DirtyKeys> {
    return new DirtyKeys(await context.connectMemory());
  }

  async close(): Promise<void> {
    await this.host.end().catch(() => undefined);
  }

  /**
   * Deletes changes from a relation's queue within the source's open transaction, and leaves durable marks of their keys,
   * one for each, before it returns; the caller commits the source after that. Returns how many changes it deleted. An
   * older mark of the same key does not do: a look that it asked for may have been before the change.
   *
   * @param deletion DELETE of the queue, whose alias is `d`, without parameters
   */
  async forget(source: Client, relation: Relation, deletion: string): Promise<number> {
    const { rows } = await this.host.query(
      'SELECT FROM ibex.verified WHERE schema_name = $1 AND relation_name = $2',
      names(relation),
    );
    if (rows.length === 0) return (await source.query(deletion)).rowCount ?? 0;
    const key = keyOf(relation).columns.map((column) => keyText(column, 'd'));
    const marks = `${literal(relation.schema)}::text, ${literal(relation.name)}::text, ARRAY[${key.join(', ')}]`;
    await this.makeStage();
    await this.host.query('BEGIN');
    try {
      const deleted = await copyRows(source, `${deletion} RETURNING ${marks}`, this.host, STAGE);
      await this.host.query(
        `INSERT INTO ibex.dirty_key (schema_name, relation_name, key) SELECT DISTINCT * FROM ${STAGE}`,
      );
      await this.host.query('COMMIT');
      return deleted;
    } catch (error) {
      await this.host.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** A row may have changed thousands of times; to find its key among them is not for the source to do. */
  private async makeStage(): Promise<void> {
    if (this.hasStage) return;
    await this.host.query(
      `CREATE TEMP TABLE ${STAGE} (schema_name text, relation_name text, key text[]) ON COMMIT DELETE ROWS`,
    );
    this.hasStage = true;
  }

  /** Marks keys, for example those that were still on their way when a comparison ended. */
  async mark(relation: Relation, keys: readonly (readonly string[])[]): Promise<void> {
    await this.host.query(
      sql`
        INSERT INTO ibex.dirty_key (schema_name, relation_name, key)
        SELECT $1, $2, ARRAY(SELECT json_array_elements_text(k)) FROM json_array_elements($3::json) AS k`,
      [...names(relation), JSON.stringify(keys)],
    );
  }

  /** Marks keys of those of these relations that a comparison has begun of, durably, before their changes are forgotten. */
  async markCompared(
    changed: readonly { readonly relation: Relation; readonly keys: readonly (readonly string[])[] }[],
  ): Promise<void> {
    if (changed.length === 0) return;
    const marks = changed.map(({ relation, keys }) => ({ schema: relation.schema, name: relation.name, keys }));
    await this.host.query(
      sql`
        INSERT INTO ibex.dirty_key (schema_name, relation_name, key)
        SELECT r.schema, r.name, ARRAY(SELECT json_array_elements_text(k))
        FROM json_to_recordset($1::json) AS r (schema text, name text, keys json), json_array_elements(r.keys) AS k
        WHERE EXISTS (SELECT FROM ibex.verified v WHERE v.schema_name = r.schema AND v.relation_name = r.name)`,
      [JSON.stringify(marks)],
    );
  }

  /** Says that a relation must be compared as a whole again, since it was copied anew. */
  markAll(relation: Relation): Promise<void> {
    return this.markTables([relation.sql]);
  }

  /** The same of tables by quoted name, whatever makes them differ. */
  async markTables(tables: readonly string[]): Promise<void> {
    if (tables.length === 0) return;
    await this.host.query(
      sql`
        UPDATE ibex.verified SET verified_at = NULL, again_since = clock_timestamp(), round = round + 1
        WHERE ${QUOTED_NAME} = ANY ($1)`,
      [tables],
    );
  }

  /**
   * Forgets marks where these relations have too many together, and has those with the most be compared as a whole instead,
   * later where they are being compared: that is void then, and may begin anew for ever. Returns their quoted names.
   *
   * @param most marks that may stay
   */
  async keepAtMost(most: number, relations: readonly Relation[]): Promise<string[]> {
    // One that begins later waits for the row, and finds no mark deleted since.
    const { rows } = await this.host.query<{ name: string }>(
      sql`
        WITH marked AS (
          SELECT schema_name, relation_name, sum(count(*)) OVER (ORDER BY count(*), schema_name, relation_name) AS marks
          FROM ibex.dirty_key
          WHERE (schema_name, relation_name) IN (SELECT * FROM unnest($2::text[], $3::text[])) GROUP BY 1, 2),
        again AS (
          UPDATE ibex.verified AS v SET verified_at = NULL, again_since = clock_timestamp(), round = round + 1 FROM marked AS m
          WHERE m.marks > $1 * CASE WHEN v.begun_at > clock_timestamp() - ${LONGEST_COMPARISON} THEN ${WHILE_COMPARED} ELSE 1 END
            AND (m.schema_name, m.relation_name) = (v.schema_name, v.relation_name)
          RETURNING v.schema_name, v.relation_name),
        gone AS (
          DELETE FROM ibex.dirty_key AS d USING again AS a
          WHERE (d.schema_name, d.relation_name) = (a.schema_name, a.relation_name))
        SELECT ${QUOTED_NAME} AS name FROM again`,
      [most, relations.map(({ schema }) => schema), relations.map(({ name }) => name)],
    );
    return rows.map(({ name }) => name);
  }

  /** Forgets tables that are no more, by quoted name: one that is made again under such a name was never compared. */
  async forgetTables(tables: readonly string[]): Promise<void> {
    for (const table of ['ibex.verified', 'ibex.dirty_key']) {
      await this.host.query(`DELETE FROM ${table} WHERE ${QUOTED_NAME} = ANY ($1)`, [tables]);
    }
  }

  /** Forgets every comparison: all must be compared anew, as after a source that jumped back in time. */
  async forgetAll(): Promise<void> {
    await this.host.query('TRUNCATE ibex.verified, ibex.dirty_key');
  }

  /**
   * To be called before a comparison of whole relations reads its first row: from here on whoever forgets changes leaves
   * marks. Returns once every transaction of an applier has ended that may not have seen that.
   *
   * @param onWait told, again and again, whose transaction is waited for, however long it takes. @default Failure, which
   * says so, after a minute
   */
  async begin(
    source: Client,
    relations: readonly Relation[],
    onWait?: (whom: string) => void,
  ): Promise<Map<Relation, Begun>> {
    const begun = new Map<Relation, Begun>();
    for (const relation of relations) {
      const { rows } = await this.host.query(
        sql`
          INSERT INTO ibex.verified (schema_name, relation_name, begun_at) VALUES ($1, $2, clock_timestamp())
          ON CONFLICT (schema_name, relation_name) DO UPDATE SET round = verified.round + 1, begun_at = excluded.begun_at
          RETURNING round::text, (SELECT coalesce(max(id), 0) FROM ibex.dirty_key)::text AS "upTo"`,
        names(relation),
      );
      begun.set(relation, rows[0] as Begun);
    }
    await untilAppliersEnd(source, onWait);
    return begun;
  }

  /**
   * Keeps how the comparison of a relation ended: if it was equal, all marks older than its beginning go.
   *
   * @param rows the source's rows that were compared, when all were equal
   */
  async end(relation: Relation, { round, upTo }: Begun, rows: number | undefined): Promise<void> {
    const equal = rows !== undefined;
    const { rowCount } = await this.host.query(
      sql`
        UPDATE ibex.verified SET verified_at = CASE WHEN $4::bigint IS NOT NULL THEN clock_timestamp() END, rows = $4, begun_at = NULL,
          again_since = CASE WHEN $4::bigint IS NULL THEN again_since END
        WHERE schema_name = $1 AND relation_name = $2 AND round = $3`,
      [...names(relation), round, rows ?? null],
    );
    if (!equal || rowCount === 0) return;
    await this.host.query(`DELETE FROM ibex.dirty_key WHERE schema_name = $1 AND relation_name = $2 AND id <= $3`, [
      ...names(relation),
      upTo,
    ]);
  }

  /** What is known of these relations, in their order. */
  async standing(relations: readonly Relation[]): Promise<Standing[]> {
    const { rows } = await this.host.query(
      sql`
        SELECT v.verified_at AS "verifiedAt", v.rows::float8 AS rows, v.again_since IS NOT NULL AS again,
          coalesce(k.keys, 0) AS keys, coalesce(k.different, 0) AS different
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (schema_name, relation_name, place)
        LEFT JOIN ibex.verified v USING (schema_name, relation_name)
        LEFT JOIN (SELECT schema_name, relation_name, count(*)::int AS keys,
            (count(*) FILTER (WHERE strikes >= ${STRIKES}))::int AS different
          FROM ibex.dirty_key GROUP BY 1, 2) AS k USING (schema_name, relation_name)
        ORDER BY r.place`,
      [relations.map((relation) => relation.schema), relations.map((relation) => relation.name)],
    );
    return (rows as Omit<Standing, 'relation'>[]).map((row, i) => ({ relation: relations[i] as Relation, ...row }));
  }

  /** What is left to be compared of these relations. */
  async count(relations: readonly Relation[]): Promise<DirtyCount> {
    const standing = await this.standing(relations);
    return {
      keys: standing.reduce((sum, { keys }) => sum + keys, 0),
      different: standing.reduce((sum, { different }) => sum + different, 0),
      unverified: standing.filter(({ verifiedAt }) => verifiedAt === null).map(({ relation }) => relation.sql),
    };
  }

  /** The oldest marked keys of any of these relations that are in doubt, each once, with the marks that are old, too. */
  async oldest(relations: readonly Relation[], limit: number): Promise<MarkedKey[]> {
    const { rows } = await this.host.query(
      sql`
        SELECT schema_name AS schema, relation_name AS name, key, array_agg(id::text ORDER BY id) AS ids,
          max(strikes) AS strikes, (array_agg(last_hash ORDER BY strikes DESC))[1] AS "lastHash"
        FROM (
          SELECT * FROM ibex.dirty_key
          WHERE (schema_name, relation_name) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND strikes < ${STRIKES}
          ORDER BY id LIMIT $4) AS k
        GROUP BY 1, 2, 3 ORDER BY min(id) LIMIT $3`,
      [relations.map(({ schema }) => schema), relations.map(({ name }) => name), limit, limit * MARKS_FOR_KEY],
    );
    return rows as MarkedKey[];
  }

  /** The next marks of all relations, those of keys that are proven different too; undefined when none is left. */
  async page(after: string, limit: number): Promise<DirtyPage | undefined> {
    const { rows } = await this.host.query(
      sql`
        SELECT schema_name AS schema, relation_name AS name, key, array_agg(id::text) AS ids,
          max(strikes) AS strikes, NULL AS "lastHash", max(max(id)) OVER ()::text AS last
        FROM (SELECT * FROM ibex.dirty_key WHERE id > $1 ORDER BY id LIMIT $2) AS k
        GROUP BY 1, 2, 3`,
      [after, limit],
    );
    const first = rows[0] as { last: string } | undefined;
    return first && { keys: rows as DirtyPage['keys'], last: first.last };
  }

  /** Takes marks away, and what proves a difference of the same keys: they were compared, or will be marked again. */
  async clear(keys: readonly DirtyKey[]): Promise<void> {
    if (keys.length === 0) return;
    await this.host.query(
      sql`
        WITH gone AS (DELETE FROM ibex.dirty_key WHERE id = ANY ($1::bigint[]) RETURNING schema_name, relation_name, key)
        DELETE FROM ibex.dirty_key AS d USING gone WHERE d.strikes >= ${STRIKES} AND d.schema_name = gone.schema_name
          AND d.relation_name = gone.relation_name AND d.key = gone.key`,
      [keys.flatMap(({ ids }) => ids)],
    );
  }

  /** Notes of a key how often it has differed in a row, and the source's hash of it then. */
  async strike({ ids }: DirtyKey, strikes: number, lastHash: string | null): Promise<void> {
    await this.host.query('UPDATE ibex.dirty_key SET strikes = $2, last_hash = $3 WHERE id = ANY ($1::bigint[])', [
      ids,
      strikes,
      lastHash,
    ]);
  }
}

/** Quoted names of the relations that marked keys were found different of, with any session on the host's memory. */
export async function differentRelations(host: Client): Promise<string[]> {
  const { rows } = await host.query<{ schema: string; name: string }>(
    sql`
      SELECT DISTINCT schema_name AS schema, relation_name AS name FROM ibex.dirty_key WHERE strikes >= ${STRIKES}
      ORDER BY 1, 2`,
  );
  return rows.map(({ schema, name }) => qualified(schema, name));
}

const names = ({ schema, name }: Relation): [string, string] => [schema, name];
