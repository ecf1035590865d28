import { ident, literal } from '../../../assets/agent/sql';
import type { Server } from './server';
import { DATABASE, END_SETTINGS, type Login } from './source';

/** The service's own superuser, which no customer of RDS ever is. */
export const TARGET_SUPERUSER = 'rdsadmin';
/** The master user that RDS hands out. */
export const TARGET_MASTER = 'ibex_master';
/** RDS's role for master users: no superuser, but with some of its powers. */
const RDS_SUPERUSER = 'rds_superuser';

export const TARGET_SETTINGS: Readonly<Record<string, string | number>> = END_SETTINGS;

/** What a master user of RDS may do by the predefined roles that its role has, where the version knows them. */
const PREDEFINED = ['pg_monitor', 'pg_signal_backend', 'pg_checkpoint'];

/**
 * Makes a server behave like a new RDS for PostgreSQL instance with an empty database: the master user makes roles and
 * databases and may run as a replica, and is refused everything that needs a superuser.
 */
export async function prepareTarget(target: Server, master: Login): Promise<void> {
  const admin = await target.admin();
  try {
    await admin.query(`CREATE ROLE ${RDS_SUPERUSER} NOLOGIN NOSUPERUSER`);
    await admin.query(`GRANT SET ON PARAMETER session_replication_role TO ${RDS_SUPERUSER}`);
    const known = await admin.query<{ rolname: string }>('SELECT rolname FROM pg_roles WHERE rolname = ANY($1)', [
      PREDEFINED,
    ]);
    for (const { rolname } of known.rows) {
      await admin.query(`GRANT ${ident(rolname)} TO ${RDS_SUPERUSER} WITH ADMIN OPTION`);
    }
    await admin.query(
      `CREATE ROLE ${ident(master.user)} LOGIN INHERIT NOSUPERUSER CREATEROLE CREATEDB PASSWORD ${literal(master.password)}`,
    );
    await admin.query(`GRANT ${RDS_SUPERUSER} TO ${ident(master.user)} WITH ADMIN OPTION`);
    await admin.query(`CREATE DATABASE ${ident(DATABASE)} OWNER ${ident(master.user)}`);
  } finally {
    await admin.end();
  }
}
