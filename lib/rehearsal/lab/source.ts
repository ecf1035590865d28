import { ident, literal } from '../../../assets/agent/sql';
import type { Server } from './server';

/** The migrated database, of the same name on both ends. */
export const DATABASE = 'shop';
/**
 * The source's first superuser. Not `postgres`: dumps name that one as an owner, and what the first superuser owns cannot
 * be given to anybody else.
 */
export const SOURCE_SUPERUSER = 'rehearsal_admin';
/** Login that owns the source's database and everything in it: the one that a Heroku-like service hands out. */
export const SOURCE_OWNER = 'shop_owner';
/** Login of the applications; it has grants, and owns nothing. */
export const APPLICATION_LOGIN = 'shop_app';

/** Name and password of a login. */
export interface Login {
  readonly user: string;
  readonly password: string;
}

/** postgresql.conf of both ends, for a small machine; durable, since the rehearsal kills servers. */
export const END_SETTINGS: Readonly<Record<string, string | number>> = {
  max_connections: 150,
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  checkpoint_completion_target: 0.9,
  // As much as the copy has for an index on one machine, so that no other way of copying has less.
  maintenance_work_mem: '256MB',
  effective_cache_size: '1GB',
};

/** What only the source has: applications there use two-phase commit. */
export const SOURCE_SETTINGS: Readonly<Record<string, string | number>> = {
  ...END_SETTINGS,
  max_prepared_transactions: 8,
};

/** Makes the source's logins and its empty database; the superuser keeps nothing in it but extensions. */
export async function prepareSource(source: Server, owner: Login, application: Login): Promise<void> {
  const admin = await source.admin();
  try {
    for (const { user, password } of [owner, application]) {
      await admin.query(
        `CREATE ROLE ${ident(user)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD ${literal(password)}`,
      );
    }
  } finally {
    await admin.end();
  }
  await makeSourceDatabase(source);
}

/** Lets the owner run as a replica, which before 15 only a superuser may: what a way back needs. */
export async function letOwnerApply(source: Server, version: number): Promise<void> {
  const admin = await source.admin();
  const owner = ident(SOURCE_OWNER);
  try {
    await admin.query(
      version >= 15 ? `GRANT SET ON PARAMETER session_replication_role TO ${owner}` : `ALTER ROLE ${owner} SUPERUSER`,
    );
  } finally {
    await admin.end();
  }
}

/** Makes the source's database, empty, for logins that are there. */
export async function makeSourceDatabase(source: Server): Promise<void> {
  const admin = await source.admin();
  try {
    await admin.query(`CREATE DATABASE ${ident(DATABASE)} OWNER ${ident(SOURCE_OWNER)}`);
    await admin.query(`REVOKE CONNECT ON DATABASE ${ident(DATABASE)} FROM PUBLIC`);
    await admin.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${ident(DATABASE)} TO ${ident(APPLICATION_LOGIN)}`);
  } finally {
    await admin.end();
  }
  const inside = await source.admin(DATABASE);
  try {
    await inside.query(`GRANT ALL ON SCHEMA public TO ${ident(SOURCE_OWNER)}`);
  } finally {
    await inside.end();
  }
}
