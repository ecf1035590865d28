import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import { sql } from '../sql';

/** A role of the source that the target needs. */
export interface SourceRole {
  readonly name: string;
  readonly superuser: boolean;
  readonly login: boolean;
  readonly inherit: boolean;
  readonly createDatabase: boolean;
  readonly createRole: boolean;
  readonly bypassRls: boolean;
  readonly replication: boolean;
  /** -1: no limit. */
  readonly connectionLimit: number;
  readonly validUntil: string | null;
  /** Roles that it is a member of. */
  readonly memberOf: readonly { readonly name: string; readonly admin: boolean }[];
}

/** Roles that the service or PostgreSQL itself brings, on either end. */
export const isServiceRole = (name: string): boolean => /^(pg_|rds_|rdsadmin$|rdsproxyadmin$)/.test(name);

const NOT_OF_EXTENSION = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

/**
 * Owner and ACL of everything in application schemas. Schema public keeps the owner that it has on the target.
 * Array and row types are left out, since they go with their element and their table, which may be an extension's.
 * pg_shdepend would be shorter, but does not know the bootstrap superuser.
 */
const OBJECTS = sql`
  application AS (SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n WHERE ${isApplicationSchema('n.nspname', '$1')}),
  object (schema, owner, acl, holder) AS (
    SELECT NULL, CASE nspname WHEN 'public' THEN NULL ELSE nspowner END, nspacl, nspowner FROM application
    UNION ALL SELECT n.nspname, c.relowner, c.relacl, c.relowner FROM pg_class c JOIN application n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND ${NOT_OF_EXTENSION('pg_class', 'c.oid')}
    UNION ALL SELECT NULL, NULL, a.attacl, c.relowner FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      JOIN application n ON n.oid = c.relnamespace WHERE a.attacl IS NOT NULL
    UNION ALL SELECT n.nspname, p.proowner, p.proacl, p.proowner FROM pg_proc p JOIN application n ON n.oid = p.pronamespace
      WHERE ${NOT_OF_EXTENSION('pg_proc', 'p.oid')}
    UNION ALL SELECT n.nspname, t.typowner, t.typacl, t.typowner FROM pg_type t JOIN application n ON n.oid = t.typnamespace
      WHERE t.typcategory <> 'A' AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
      AND ${NOT_OF_EXTENSION('pg_type', 't.oid')}
    UNION ALL SELECT n.nspname, s.stxowner, NULL, s.stxowner FROM pg_statistic_ext s JOIN application n ON n.oid = s.stxnamespace
    UNION ALL SELECT n.nspname, o.oprowner, NULL, o.oprowner FROM pg_operator o JOIN application n ON n.oid = o.oprnamespace
      WHERE ${NOT_OF_EXTENSION('pg_operator', 'o.oid')}
    UNION ALL SELECT n.nspname, o.collowner, NULL, o.collowner FROM pg_collation o JOIN application n ON n.oid = o.collnamespace
    UNION ALL SELECT n.nspname, o.cfgowner, NULL, o.cfgowner FROM pg_ts_config o JOIN application n ON n.oid = o.cfgnamespace
      WHERE ${NOT_OF_EXTENSION('pg_ts_config', 'o.oid')}
    UNION ALL SELECT n.nspname, o.dictowner, NULL, o.dictowner FROM pg_ts_dict o JOIN application n ON n.oid = o.dictnamespace
      WHERE ${NOT_OF_EXTENSION('pg_ts_dict', 'o.oid')}
    UNION ALL SELECT NULL, a.defaclrole, a.defaclacl, a.defaclrole FROM pg_default_acl a
      WHERE a.defaclnamespace = 0 OR a.defaclnamespace IN (SELECT oid FROM application))`;

const ROLES = sql`
  WITH RECURSIVE ${OBJECTS},
  named (oid) AS (
    SELECT owner FROM object WHERE owner IS NOT NULL
    UNION SELECT unnest(ARRAY[e.grantee, e.grantor]) FROM object, aclexplode(acl) e WHERE e.grantor <> holder
    UNION SELECT e.grantee FROM object, aclexplode(acl) e WHERE e.grantee <> holder
    UNION SELECT unnest(p.polroles) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
      JOIN application n ON n.oid = c.relnamespace
    UNION SELECT r.oid FROM pg_roles r WHERE r.rolname = ANY ($2) OR (NOT r.rolsuper AND r.oid IN (
      SELECT datdba FROM pg_database WHERE datname = current_database()
      UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = 'public'))),
  needed (oid) AS (
    SELECT oid FROM named
    UNION
    SELECT other.oid FROM needed
      JOIN pg_auth_members m ON needed.oid IN (m.roleid, m.member)
      JOIN pg_roles other ON other.oid IN (m.roleid, m.member) AND other.rolname !~ '^(pg_|rds)')
  SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolcanlogin AS login, r.rolinherit AS inherit,
    r.rolcreatedb AS "createDatabase", r.rolcreaterole AS "createRole", r.rolbypassrls AS "bypassRls",
    r.rolreplication AS replication, r.rolconnlimit AS "connectionLimit", r.rolvaliduntil::text AS "validUntil",
    coalesce((SELECT json_agg(json_build_object('name', g.rolname, 'admin', m.admin_option) ORDER BY g.rolname)
      FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), '[]') AS "memberOf"
  FROM pg_roles r WHERE r.oid IN (SELECT oid FROM needed) ORDER BY r.rolname`;

/** Owners (the database's too), grantees and the settings' logins, with the roles that they belong to and that belong to them. */
export async function readSourceRoles(source: Client, config: AgentConfig): Promise<SourceRole[]> {
  const logins = Object.keys(config.applicationLogins ?? {});
  const { rows } = await source.query(ROLES, [hiddenSchemas(config), logins]);
  return (rows as SourceRole[]).filter((role) => !isServiceRole(role.name));
}

/** An owner of objects in a schema that is not its own. */
export interface ForeignOwner {
  readonly schema: string;
  readonly owner: string;
  /** Whether the schema's ACL on the source names it with CREATE. */
  readonly granted: boolean;
}

const OWNERS = sql`
  WITH ${OBJECTS}
  SELECT DISTINCT n.nspname AS schema, r.rolname AS owner,
    EXISTS (SELECT FROM aclexplode(n.nspacl) e WHERE e.grantee = r.oid AND e.privilege_type = 'CREATE') AS granted
  FROM object o JOIN application n ON n.nspname = o.schema JOIN pg_roles r ON r.oid = o.owner
  WHERE n.nspname = 'public' OR n.nspowner <> r.oid
  ORDER BY 1, 2`;

/** Who owns something in a schema of somebody else's. */
export async function readForeignOwners(source: Client, config: AgentConfig): Promise<ForeignOwner[]> {
  const { rows } = await source.query(OWNERS, [hiddenSchemas(config)]);
  return rows as ForeignOwner[];
}
