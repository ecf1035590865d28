import type { Client } from 'pg';
import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import type { AgentConfig } from '../config';
import { ident, qualified, sql } from '../sql';

/** A right that the source login needs for the way back, and has not. */
export interface MissingRight {
  /** The table or sequence, quoted. */
  readonly name: string;
  /** Such as `INSERT`. */
  readonly right: string;
  readonly login: string;
  /** The statement that gives it. */
  readonly grant: string;
}

/**
 * What feeding the source back asks for on each table, and the rollback on each sequence, one row for each right that is
 * missing; each asked by itself, since a list of rights is answered by any of them. CASE, because the planner may ask
 * has_sequence_privilege of a table otherwise, which is an error.
 */
const MISSING = sql`
  SELECT n.nspname AS schema, c.relname AS name, r.right, current_user AS login, c.relkind = 'S' AS sequence
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN (VALUES (1, 'USAGE'), (2, 'SELECT'), (3, 'INSERT'), (4, 'DELETE'), (5, 'UPDATE')) AS r (no, "right")
    ON CASE WHEN c.relkind = 'S' THEN r.right IN ('USAGE', 'UPDATE') ELSE r.right <> 'UPDATE' END
  WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND ${isApplicationSchema('n.nspname', '$1')}
    AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    AND CASE WHEN r.right = 'USAGE' THEN NOT has_schema_privilege(n.oid, 'USAGE')
      WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, r.right)
      ELSE NOT has_table_privilege(c.oid, r.right) END
  ORDER BY 1, 2, r.no`;

/** The rights that the way back needs on the source and that its login lacks, so that a rollback could not be. */
export async function missingRights(source: Client, config: AgentConfig): Promise<MissingRight[]> {
  const { rows } = await source.query(MISSING, [hiddenSchemas(config)]);
  return (rows as { schema: string; name: string; right: string; login: string; sequence: boolean }[]).map((row) => {
    const name = qualified(row.schema, row.name);
    const on = row.right === 'USAGE' ? `SCHEMA ${ident(row.schema)}` : `${row.sequence ? 'SEQUENCE' : 'TABLE'} ${name}`;
    const { right, login } = row;
    return { name, right, login, grant: `GRANT ${right} ON ${on} TO ${ident(login)}` };
  });
}

/** One line for a person: what is missing, and the statement that mends it. */
export const missingLine = ({ name, right, login, grant }: MissingRight): string =>
  `source login "${login}" lacks ${right === 'USAGE' ? 'USAGE of the schema of' : `${right} on`} ${name}: ${grant}`;
