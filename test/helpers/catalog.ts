import type { Client } from 'pg';

/** Object identifiers below this one are the server's own. */
const FIRST_OF_USERS = 16384;

/** Catalogs whose objects PostgreSQL can name. */
const CATALOGS = [
  'pg_class',
  'pg_constraint',
  'pg_default_acl',
  'pg_event_trigger',
  'pg_extension',
  'pg_namespace',
  'pg_proc',
  'pg_publication',
  'pg_rewrite',
  'pg_trigger',
  'pg_type',
];

/**
 * Everything that somebody made in a database, with who may do what to it, and each role with its settings and members,
 * one line each: two such lists are equal when nothing was left behind, and nothing taken away.
 */
export async function listCatalog(client: Client): Promise<string[]> {
  const objects = CATALOGS.map((name) => `SELECT '${name}'::regclass AS catalog, oid FROM ${name}`).join(' UNION ALL ');
  const { rows } = await client.query(`
    SELECT o.type || ' ' || o.identity AS line
      FROM (${objects}) c CROSS JOIN LATERAL pg_identify_object(c.catalog, c.oid, 0) o
      WHERE c.oid >= ${FIRST_OF_USERS} AND coalesce(o.schema, o.identity) !~ '^pg_(toast|temp)'
    UNION ALL SELECT 'rights of ' || oid::regclass || ' ' || relacl::text FROM pg_class
      WHERE oid >= ${FIRST_OF_USERS} AND relacl IS NOT NULL
    UNION ALL SELECT 'rights of schema ' || nspname || ' ' || nspacl::text FROM pg_namespace
      WHERE oid >= ${FIRST_OF_USERS} AND nspacl IS NOT NULL
    UNION ALL SELECT 'switched ' || tgname || ' of ' || tgrelid::regclass || ' ' || tgenabled::text FROM pg_trigger
      WHERE NOT tgisinternal
    UNION ALL SELECT 'role ' || rolname || coalesce(' ' || array_to_string(rolconfig, ' '), '') FROM pg_roles
    UNION ALL SELECT 'member ' || member::regrole || ' of ' || roleid::regrole FROM pg_auth_members
    UNION ALL SELECT 'settings of ' || setdatabase || ' ' || setrole || ' ' || setconfig::text FROM pg_db_role_setting
    ORDER BY 1`);
  return (rows as { line: string }[]).map(({ line }) => line);
}
