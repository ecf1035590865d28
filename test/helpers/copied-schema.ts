import type { Client } from 'pg';
import type { Context } from '../../assets/agent/context';
import { copySchema } from '../../assets/agent/schema';
import type { TestMigration } from './migration';

/** A fresh pair of databases of which the target has the source's schema without keys, indexes and rows. */
export interface CopiedSchema {
  readonly source: Client;
  readonly target: Client;
  readonly context: Context;
  close(): Promise<unknown>;
}

/** Makes what the statements say on a fresh source, and copies the schema. */
export async function copiedSchema(migration: TestMigration, statements: string): Promise<CopiedSchema> {
  await migration.fresh();
  const source = await migration.admin('source');
  const target = await migration.admin('target');
  await source.query(statements);
  const context = await migration.context('schema');
  await copySchema(context);
  // Who uses it brings the rows.
  await target.query('UPDATE ibex.relation SET copied_at = clock_timestamp(), copied_rows = 0');
  return { source, target, context, close: () => Promise.all([context.close(), source.end(), target.end()]) };
}
