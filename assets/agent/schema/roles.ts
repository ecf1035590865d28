import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { serverVersion } from '../catalog/relations';
import { Failure, oneLine } from '../errors';
import { readLogin } from '../secrets';
import { ident, literal } from '../sql';
import { isServiceRole, type SourceRole } from './source-roles';
import { scramVerifier } from './scram';
import { inTransaction, tried } from './tried';

/** What became of the roles, for the report. */
export interface RolesOutcome {
  readonly created: string[];
  readonly existing: string[];
  /** Logins to which `applicationLogins` gives no password: what was created of them cannot log in yet. */
  readonly withoutPassword: string[];
  /** What a role has on the source and not on the target. */
  readonly warnings: string[];
}

/**
 * Makes the roles that are missing on the target, and makes our login a member of each, so that it can hand objects to
 * them; all or nothing. Roles that exist keep their attributes and password. May be repeated.
 */
export async function copyRoles(
  target: Client,
  config: AgentConfig,
  roles: readonly SourceRole[],
): Promise<RolesOutcome> {
  const outcome: RolesOutcome = { created: [], existing: [], withoutPassword: [], warnings: [] };
  const version = await serverVersion(target);
  const known = await roleNames(target);
  await inTransaction(target, async () => {
    for (const role of roles) {
      if (known.has(role.name)) outcome.existing.push(role.name);
      else await create(target, config, role, outcome);
      if (role.login && config.applicationLogins?.[role.name] === undefined) outcome.withoutPassword.push(role.name);
    }
    for (const role of roles) await join(target, role.name, version);
    for (const role of roles) await copyMemberships(target, role, outcome);
  });
  return outcome;
}

async function roleNames(target: Client): Promise<Set<string>> {
  const { rows } = await target.query('SELECT rolname FROM pg_roles');
  return new Set((rows as { rolname: string }[]).map((row) => row.rolname));
}

async function create(target: Client, config: AgentConfig, role: SourceRole, outcome: RolesOutcome): Promise<void> {
  const secret = config.applicationLogins?.[role.name];
  const options = [
    role.login ? 'LOGIN' : 'NOLOGIN',
    role.inherit ? 'INHERIT' : 'NOINHERIT',
    `CONNECTION LIMIT ${role.connectionLimit}`,
  ];
  if (role.validUntil !== null) options.push(`VALID UNTIL ${literal(role.validUntil)}`);
  if (secret !== undefined) {
    const { password } = await readLogin(config.secrets, secret);
    options.push(`PASSWORD ${literal(scramVerifier(password))}`);
  }
  try {
    await target.query(`CREATE ROLE ${ident(role.name)} ${options.join(' ')}`);
  } catch (error) {
    throw new Failure(
      `role "${role.name}" cannot be created on the target: ${oneLine(error)}; give the target's login CREATEROLE, or create the role there`,
    );
  }
  outcome.created.push(role.name);
  await addAttributes(target, role, outcome);
}

/** Attributes that a managed service may withhold: tried one by one, and named when refused. */
async function addAttributes(target: Client, role: SourceRole, outcome: RolesOutcome): Promise<void> {
  const wanted: [boolean, string][] = [
    [role.createDatabase, 'CREATEDB'],
    [role.createRole, 'CREATEROLE'],
    [role.bypassRls, 'BYPASSRLS'],
    [role.replication, 'REPLICATION'],
  ];
  if (role.superuser) outcome.warnings.push(`role "${role.name}" is a superuser on the source and a plain role here`);
  for (const [has, attribute] of wanted) {
    if (!has || role.superuser) continue;
    const refused = await tried(target, `ALTER ROLE ${ident(role.name)} ${attribute}`);
    if (refused !== undefined) outcome.warnings.push(`role "${role.name}" did not get ${attribute}: ${refused}`);
  }
}

/** Makes our login a member that has the role's rights and, from PostgreSQL 16 on, may set the role. */
async function join(target: Client, role: string, version: number): Promise<void> {
  const right = version >= 160000 ? 'SET' : 'MEMBER';
  const { rows } = await target.query(
    `SELECT pg_has_role(current_user, $1, 'USAGE') AND pg_has_role(current_user, $1, '${right}') AS member, current_user AS me`,
    [role],
  );
  const { member, me } = rows[0] as { member: boolean; me: string };
  if (member) return;
  const options = version >= 160000 ? ' WITH INHERIT TRUE, SET TRUE' : '';
  try {
    await target.query(`GRANT ${ident(role)} TO ${ident(me)}${options}`);
  } catch (error) {
    throw new Failure(
      `target login "${me}" cannot become a member of role "${role}", which owns or uses objects: ${oneLine(error)}; run GRANT ${ident(role)} TO ${ident(me)} as the role's administrator`,
    );
  }
}

async function copyMemberships(target: Client, role: SourceRole, outcome: RolesOutcome): Promise<void> {
  const { rows } = await target.query('SELECT current_user AS me');
  const { me } = rows[0] as { me: string };
  for (const group of role.memberOf) {
    // Our login is a member of every role; the other way round would be a circle.
    if (group.name === me) continue;
    const admin = group.admin ? ' WITH ADMIN OPTION' : '';
    const refused = await tried(target, `GRANT ${ident(group.name)} TO ${ident(role.name)}${admin}`);
    if (refused === undefined) continue;
    const text = `role "${role.name}" is no member of "${group.name}" here: ${refused}`;
    if (!isServiceRole(group.name)) throw new Failure(`${text}; grant it on the target and start again`);
    outcome.warnings.push(text);
  }
}
