import { ident, qualified, sql } from '../sql';
import { oneLine } from '../errors';
import { warning, type Check, type Finding } from './check';

/** Tables of extensions that hold what their user puts in; the condition leaves out the extension's own rows. */
const CONFIGURED = sql`
  SELECT e.extname AS extension, n.nspname AS schema, c.relname AS name, coalesce(condition, '') AS condition
  FROM pg_extension e
  CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS configured (relation, condition)
  JOIN pg_class c ON c.oid = configured.relation AND c.relkind IN ('r', 'p')
  JOIN pg_namespace n ON n.oid = c.relnamespace
  ORDER BY 1, 2, 3`;

interface Configured {
  readonly extension: string;
  readonly schema: string;
  readonly name: string;
  readonly condition: string;
}

/**
 * A table that an extension owns (part_config of pg_partman, spatial_ref_sys of PostGIS, job of pg_cron) is made by
 * CREATE EXTENSION on the target, and what its user wrote into it is nobody's to move: it is not captured, not compared
 * and not fenced, so it has to be named.
 */
export const extensionRows: Check = {
  gate: 'rows of extensions',
  run: async ({ source }) => {
    const tables = (await source.query<Configured>(CONFIGURED)).rows;
    const findings: Finding[] = [];
    for (const { extension, schema, name, condition } of tables) {
      const table = qualified(schema, name);
      const says = (what: string): void => void findings.push(warning(`extension "${extension}" ${what}`));
      // The condition is the extension's own text, which pg_dump uses in the same way.
      const found = await source
        .query<{ found: boolean }>(`SELECT EXISTS (SELECT FROM ${table} ${condition}) AS found`)
        .then(({ rows }) => rows[0]?.found === true)
        .catch((error) => says(`has a table ${table} that cannot be looked at (${oneLine(error)}); look yourself`));
      if (found === true) {
        says(
          `keeps rows of yours in ${table}, which are neither moved nor compared nor fenced; copy them yourself before the cutover: psql -c 'COPY (SELECT * FROM ${ident(schema)}.${ident(name)} ${condition}) TO STDOUT'`,
        );
      }
    }
    return { query: CONFIGURED, result: { tables: tables.length }, findings };
  },
};
