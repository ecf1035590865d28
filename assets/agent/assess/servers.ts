import { extensionRows } from './extension-rows';
import { askFor, lookAt, refusal, warning, type Check, type Finding } from './check';
import { sql } from '../sql';

const OLDEST_SOURCE = 10;
const NEWEST_SOURCE = 17;
const OLDEST_TARGET = 15;
const NEWEST_TARGET = 18;

const major = (version: number): number => Math.floor(version / 10000);

/**
 * Why a source that the settings declare as too old is refused, before anything is asked of it: its catalogs and settings
 * are not those that the questions are made for. Undefined for any other.
 */
export function refusalOfDeclared(version: number | undefined): string | undefined {
  if (version === undefined || version >= OLDEST_SOURCE) return undefined;
  return `source is PostgreSQL ${version} by the settings (source.assessOnly); ${OLDEST_SOURCE} to ${NEWEST_SOURCE} can be migrated: upgrade it first`;
}

const versions = lookAt('versions', 'server_version_num on both ends', ({ sourceVersion, targetVersion }) => {
  const [source, target] = [major(sourceVersion), major(targetVersion)];
  const findings: Finding[] = [];
  if (source < OLDEST_SOURCE || source > NEWEST_SOURCE)
    findings.push(refusal(`source is PostgreSQL ${source}; ${OLDEST_SOURCE} to ${NEWEST_SOURCE} can be migrated`));
  if (target < OLDEST_TARGET || target > NEWEST_TARGET)
    findings.push(refusal(`target is PostgreSQL ${target}; use ${OLDEST_TARGET} to ${NEWEST_TARGET}`));
  if (target < source)
    findings.push(refusal(`target is PostgreSQL ${target}, older than the source's ${source}; use ${source} or newer`));
  return findings;
});

const DATABASE = sql`
  SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, datctype AS ctype,
    pg_is_in_recovery() AS "standby" FROM pg_database WHERE datname = current_database()`;

interface Database {
  readonly encoding: string;
  readonly collation: string;
  readonly ctype: string;
  readonly standby: boolean;
}

/** Encoding and collation of both ends, and that both take writes. */
const databases: Check = {
  gate: 'encoding and collation',
  run: async ({ source, target }) => {
    const [from] = (await source.query(DATABASE)).rows as [Database];
    const [to] = (await target.query(DATABASE)).rows as [Database];
    const findings: Finding[] = [];
    if (from.encoding !== to.encoding) {
      findings.push(
        refusal(
          `target database has encoding ${to.encoding}, the source ${from.encoding}; make it anew with ENCODING '${from.encoding}' TEMPLATE template0`,
        ),
      );
    }
    if (from.encoding === 'SQL_ASCII') {
      findings.push(
        warning(
          'source database has encoding SQL_ASCII, in which text may be any bytes, and Ibex reads it as UTF-8: a table with other bytes is left out of the dump, or stops by name; correct it beforehand',
        ),
      );
    }
    if (from.collation !== to.collation || from.ctype !== to.ctype) {
      findings.push(
        warning(
          `text sorts by ${to.collation}/${to.ctype} on the target and ${from.collation}/${from.ctype} on the source: order and upper case may differ`,
        ),
      );
    }
    if (from.standby) findings.push(refusal('source is a standby, which takes no triggers; name its primary'));
    if (to.standby) findings.push(refusal('target is a standby or reader; name its writer endpoint'));
    return { query: DATABASE, result: { source: from, target: to }, findings };
  },
};

const EXTENSIONS = sql`
  SELECT e.extname AS name, e.extversion AS version FROM pg_extension e WHERE e.extname <> 'plpgsql' ORDER BY 1`;
const AVAILABLE = sql`
  SELECT name, default_version AS version FROM pg_available_extensions`;

interface Extension {
  readonly name: string;
  readonly version: string;
}

const extensions: Check = {
  gate: 'extensions',
  run: async ({ source, target }) => {
    const wanted = (await source.query(EXTENSIONS)).rows as Extension[];
    const offered = new Map(
      ((await target.query(AVAILABLE)).rows as Extension[]).map((row) => [row.name, row.version]),
    );
    const findings = wanted.flatMap(({ name, version }) => {
      const there = offered.get(name);
      if (there === undefined) {
        return [
          refusal(`extension "${name}" is not available on the target; drop it from the source or allow it there`),
        ];
      }
      return there === version
        ? []
        : [warning(`extension "${name}" is ${version} on the source and ${there} on the target`)];
    });
    return { query: EXTENSIONS, result: { wanted }, findings };
  },
};

/** Things that only a superuser may make, outside extensions. */
const SUPERUSER_ONLY = sql`
  SELECT * FROM (
    SELECT 'base type' AS kind, format('%I.%I', n.nspname, t.typname) AS name FROM pg_type t
      JOIN pg_namespace n ON n.oid = t.typnamespace
      WHERE t.typtype = 'b' AND t.typelem = 0 AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[])
      AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
    UNION ALL SELECT 'operator class', format('%I.%I', n.nspname, o.opcname) FROM pg_opclass o
      JOIN pg_namespace n ON n.oid = o.opcnamespace
      WHERE n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[]) AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_opclass'::regclass AND d.objid = o.oid AND d.deptype = 'e')
    UNION ALL SELECT format('function in language %s', l.lanname), p.oid::regprocedure::text FROM pg_proc p
      JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE l.lanname IN ('c', 'internal') AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[])
      AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')) AS found ORDER BY 1, 2`;

const superuserOnly = askFor<{ kind: string; name: string }>(
  'superuser-only objects',
  'source',
  SUPERUSER_ONLY,
  (row) =>
    refusal(
      `${row.kind} ${row.name} can be made by a superuser only, which a managed service has not; drop it or use an extension`,
    ),
);

/** Column types that later servers no longer know. */
const REMOVED_TYPES = sql`
  SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name, t.typname AS type
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  WHERE t.typname IN ('abstime', 'reltime', 'tinterval', 'unknown') AND t.typnamespace = 'pg_catalog'::regnamespace
    AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[]) ORDER BY 1`;

const removedTypes = askFor<{ name: string; type: string }>('column types', 'source', REMOVED_TYPES, (row) =>
  refusal(`column ${row.name} has type ${row.type}, which the target no longer has; change its type`),
);

export const serverChecks: readonly Check[] = [
  versions,
  databases,
  extensions,
  extensionRows,
  superuserOnly,
  removedTypes,
];
