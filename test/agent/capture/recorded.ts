import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { capture } from '../../../assets/agent/capture';
import { ident } from '../../../assets/agent/sql';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import type { TestMigration } from '../../helpers/migration';

/** Runs the phase once, as its runbook does. */
export async function runCapture(
  migration: TestMigration,
  overrides: Partial<AgentConfig> = {},
): Promise<PhaseOutcome> {
  const context = await migration.context('capture', overrides);
  try {
    return await capture.run(context);
  } finally {
    await context.close();
  }
}

/** What a queue of changed keys holds, one text a change; forgets it, so that the next look shows the next changes. */
export async function takeKeys(client: Client, queue: string): Promise<string[]> {
  const { rows } = await client.query(
    `WITH gone AS (DELETE FROM bucardo.${ident(queue)} RETURNING *)
     SELECT (to_jsonb(gone) - 'txntime' - 'captured_at')::text AS key FROM gone`,
  );
  const keys = (rows as { key: string }[]).map((row) => Object.values(JSON.parse(row.key) as object).join('/'));
  return keys.sort();
}

/** Takes capture off, with the host's memory of it, as if the migration had never begun. */
export async function forgetCapture(migration: TestMigration, source: Client): Promise<void> {
  await source.query('SET client_min_messages = warning; DROP SCHEMA IF EXISTS bucardo CASCADE');
  const context = await migration.context('capture');
  await context.state.client.query('DELETE FROM ibex.fact; DELETE FROM ibex.phase');
  await context.close();
}
