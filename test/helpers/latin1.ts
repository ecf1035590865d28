import type { AgentConfig } from '../../assets/agent/config';
import type { TestMigration } from './migration';

/** Text that every source holds, and no database in LATIN1. */
export const NOT_LATIN1 = '☃';

/** Makes a target database in LATIN1 beside the present one. Returns the settings that lead to it. */
export async function latin1Target(migration: TestMigration): Promise<Partial<AgentConfig>> {
  const { target } = migration.config;
  const database = `${target.database}_latin1`;
  const admin = await migration.admin('target', 'postgres');
  await admin.query(`CREATE DATABASE ${database} OWNER master ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
  await admin.end();
  return { target: { ...target, database } };
}
