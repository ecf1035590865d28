import { restoredEntries, PRE_DATA } from '../archive/restored';
import { hiddenSchemas } from '../catalog/schemas';
import { sql } from '../sql';
import { refusal, warning, type Check, type Finding } from './check';

const LEFTOVERS = sql`
  SELECT kind, format('%I.%I', n.nspname, f.name) AS name FROM (
    SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END
      AS kind, relname AS name, relnamespace AS schema, 'pg_class'::regclass AS class, oid FROM pg_class
      WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
    UNION ALL SELECT 'function', proname, pronamespace, 'pg_proc'::regclass, oid FROM pg_proc
    UNION ALL SELECT 'type', typname, typnamespace, 'pg_type'::regclass, oid FROM pg_type
      WHERE typtype IN ('e', 'd')) AS f
  JOIN pg_namespace n ON n.oid = f.schema
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[])
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = f.class AND d.objid = f.oid AND d.deptype = 'e')
  ORDER BY 2`;

const SCHEMAS = sql`
  SELECT nspname AS name FROM pg_namespace n
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') AND nspname <> ALL ($1::text[])
    AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')`;

/** Names that a refusal lists before it counts the rest. */
const NAMED = 5;

/** The target must hold nothing of its own: what is there would be mixed with what comes, or be in its way. */
const empty: Check = {
  gate: 'target is empty',
  run: async ({ context, source, target }) => {
    if ((await restoredEntries(target)).has(PRE_DATA)) {
      return { query: 'ibex.restored', result: 'this migration has begun here', findings: [] };
    }
    const hidden = hiddenSchemas(context.config);
    const there = (await target.query(LEFTOVERS, [hidden])).rows as { kind: string; name: string }[];
    const findings: Finding[] = [];
    if (there.length > 0) {
      const named = there.slice(0, NAMED).map((row) => `${row.kind} ${row.name}`);
      const more = there.length > NAMED ? ` and ${there.length - NAMED} more` : '';
      findings.push(refusal(`target is not empty: ${named.join(', ')}${more}; name an empty database, or drop them`));
    }
    const wanted = new Set(((await source.query(SCHEMAS, [hidden])).rows as { name: string }[]).map((row) => row.name));
    for (const { name } of (await target.query(SCHEMAS, [hidden])).rows as { name: string }[]) {
      if (wanted.has(name)) findings.push(refusal(`schema "${name}" is on the target already; drop it there`));
    }
    return { query: LEFTOVERS, result: { objects: there.length, first: there.slice(0, 20) }, findings };
  },
};

const RIGHTS = sql`
  SELECT current_user AS login, current_database() AS database, me.rolsuper AS superuser,
    me.rolsuper OR me.rolcreaterole AS "createRole",
    has_database_privilege(current_database(), 'CREATE') AS "create",
    pg_has_role(d.datdba, 'USAGE') AS owner
  FROM pg_roles me, pg_database d WHERE me.rolname = current_user AND d.datname = current_database()`;

interface Rights {
  readonly login: string;
  readonly database: string;
  readonly superuser: boolean;
  readonly createRole: boolean;
  readonly create: boolean;
  readonly owner: boolean;
}

const rights: Check = {
  gate: 'rights on the target',
  run: async ({ target }) => {
    const [has] = (await target.query(RIGHTS)).rows as [Rights];
    const findings: Finding[] = [];
    if (!has.create) {
      findings.push(
        refusal(`target login "${has.login}" may not create schemas in ${has.database}; GRANT CREATE ON DATABASE`),
      );
    }
    if (!has.owner) {
      findings.push(
        refusal(
          `target login "${has.login}" does not own database ${has.database}, so that it may not grant rights on schema public; ALTER DATABASE … OWNER TO it`,
        ),
      );
    }
    if (!has.createRole) {
      findings.push(
        warning(`target login "${has.login}" has no CREATEROLE: roles that are missing there cannot be made`),
      );
    }
    return { query: RIGHTS, result: has, findings };
  },
};

/** Both ends must be two databases. */
const twoDatabases: Check = {
  gate: 'two databases',
  run: async ({ context }) => {
    const [from, to] = await Promise.all([context.endpoint('source'), context.endpoint('target')]);
    const same = from.host === to.host && from.port === to.port && from.database === to.database;
    const findings = same
      ? [refusal(`source and target are the same database ${from.host}:${from.port}/${from.database}; correct one`)]
      : [];
    return { query: 'addresses', result: { same }, findings };
  },
};

export const targetChecks: readonly Check[] = [twoDatabases, rights, empty];
