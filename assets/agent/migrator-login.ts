import type { Client } from 'pg';
import { serverVersion } from './catalog/relations';
import { connectTo } from './connect';
import type { Context } from './context';
import type { Endpoint } from './endpoints';
import { Failure, oneLine } from './errors';
import { scramVerifier } from './schema/scram';
import { inTransaction } from './schema/tried';
import { readLogin } from './secrets';
import { ident, literal, sql } from './sql';

/**
 * Makes sure that our login works on the target. RDS changes the master's password every seven days, in the midst of a
 * migration; so the master only makes a login of ours, whose password stays: with what the migration needs (its own
 * roles, rds_superuser, the database), and with the master as its member, so that the master keeps its rights. Does
 * nothing where the configuration names no master, or the login works already.
 */
export async function ensureMigratorLogin(context: Context): Promise<void> {
  const { masterSecret } = context.config.target;
  if (masterSecret === undefined) return;
  const login = await context.endpoint('target');
  if (await works(login)) return;
  await asMaster(context, login, masterSecret, async (master) => {
    await inTransaction(master, () => makeLogin(master, login));
    context.log.info({ login: login.user }, 'the target login was made, or given the password of its secret');
  });
  // Whatever is still wrong with the login is told by its own connection.
  await (await connectTo(login, context.phase)).end();
}

/**
 * Takes the login's password and its right to log in, and gives the database back to the master: the end of a
 * migration. The role itself stays, as the one that may administer the roles which it has made (from PostgreSQL 16 on
 * nobody else may), and the master is its member. Returns what the server says of it afterwards. Does nothing where the
 * configuration names no master.
 */
export async function retireMigratorLogin(context: Context): Promise<RetiredLogin | undefined> {
  const { masterSecret } = context.config.target;
  if (masterSecret === undefined) return undefined;
  const login = await context.endpoint('target');
  return asMaster(context, login, masterSecret, async (master) => {
    await inTransaction(master, async () => {
      const role = ident(login.user);
      await master.query(`ALTER DATABASE ${ident(login.database)} OWNER TO CURRENT_USER`);
      await master.query(`ALTER ROLE ${role} NOLOGIN PASSWORD NULL`);
      if (await hasElevated(master)) await master.query(`REVOKE rds_superuser FROM ${role}`);
    });
    const { rows } = await master.query(RETIRED, [login.user, login.database]);
    return (rows as RetiredLogin[])[0];
  });
}

/** A login of ours as it is left. */
export interface RetiredLogin {
  readonly login: string;
  readonly mayLogIn: boolean;
  /** Whether it is a member of rds_superuser. */
  readonly elevated: boolean;
  readonly ownsDatabase: boolean;
}

const RETIRED = sql`
  SELECT r.rolname AS login, r.rolcanlogin AS "mayLogIn",
    EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles e ON e.oid = m.roleid
      WHERE m.member = r.oid AND e.rolname = 'rds_superuser') AS elevated,
    EXISTS (SELECT FROM pg_database d WHERE d.datname = $2 AND d.datdba = r.oid) AS "ownsDatabase"
  FROM pg_roles r WHERE r.rolname = $1`;

async function works(login: Endpoint): Promise<boolean> {
  try {
    await (await connectTo(login, 'login')).end();
    return true;
  } catch {
    return false;
  }
}

async function asMaster<T>(
  context: Context,
  login: Endpoint,
  secret: string,
  work: (master: Client) => Promise<T>,
): Promise<T> {
  const { username, password } = await readLogin(context.config.secrets, secret);
  if (username === login.user) {
    throw new Failure(
      `target: secrets ${context.config.target.secret} and ${secret} name the same login "${username}"`,
    );
  }
  const master = await connectTo({ ...login, user: username, password }, `${context.phase} master`);
  try {
    return await work(master);
  } catch (error) {
    throw new Failure(`target: master "${username}" cannot change login "${login.user}": ${oneLine(error)}`);
  } finally {
    await master.end().catch(() => undefined);
  }
}

async function makeLogin(master: Client, login: Endpoint): Promise<void> {
  const role = ident(login.user);
  // Log files see a verifier, not the password.
  const options = `LOGIN CREATEROLE CREATEDB PASSWORD ${literal(scramVerifier(login.password))}`;
  const known = await master.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [login.user]);
  await master.query(`${known.rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${role} ${options}`);
  const modern = (await serverVersion(master)) >= 160000;
  // To hand over what it owns, and to keep the rights of an owner beside it.
  await master.query(`GRANT ${role} TO CURRENT_USER${modern ? ' WITH INHERIT TRUE, SET TRUE' : ''}`);
  if (await hasElevated(master)) await master.query(`GRANT rds_superuser TO ${role} WITH ADMIN OPTION`);
  await master.query(`ALTER DATABASE ${ident(login.database)} OWNER TO ${role}`);
}

/** rds_superuser carries the right to set session_replication_role, and is there on RDS only. */
async function hasElevated(master: Client): Promise<boolean> {
  const { rowCount } = await master.query(`SELECT 1 FROM pg_roles WHERE rolname = 'rds_superuser'`);
  return rowCount !== 0;
}
