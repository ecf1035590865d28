import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { filledViews } from '../constraints';
import { oneLine } from '../errors';
import { sql } from '../sql';

/** How long a refresh may queue the readers of its view behind itself while it waits for its lock; milliseconds. */
const LOCK_TIMEOUT_MS = 200;

/** Tries for each view that is busy. */
const ATTEMPTS = 5;

/** Whether a view can be refreshed beside its readers: no row for one that is not there. */
const BESIDE = sql`
  SELECT c.relispopulated AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
    AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL) AS beside
  FROM pg_class c WHERE c.oid = to_regclass($1)`;

/** What became of the views of an end that takes writes. */
export interface Refreshed {
  readonly refreshed: number;
  /** Those that are as old as before, each with the cause and the statement to run. */
  readonly left: readonly string[];
}

/**
 * Refreshes the materialized views of the end that has begun to serve: beside their readers where a unique index lets the
 * server do that, else with a lock that nobody waits for long. One that fails does not keep the others.
 */
export async function refreshViews(source: Client, target: Client, config: AgentConfig): Promise<Refreshed> {
  const left: string[] = [];
  const views = await filledViews(source, config);
  await target.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`);
  try {
    for (const view of views) {
      const problem = await refresh(target, view);
      if (problem !== undefined) left.push(problem);
    }
  } finally {
    await target.query('SET lock_timeout = 0');
  }
  return { refreshed: views.length - left.length, left };
}

async function refresh(target: Client, view: string): Promise<string | undefined> {
  const { rows } = await target.query(BESIDE, [view]);
  const found = rows[0] as { beside: boolean } | undefined;
  if (!found) return `${view} is missing`;
  const statement = `REFRESH MATERIALIZED VIEW ${found.beside ? 'CONCURRENTLY ' : ''}${view}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await target.query(statement);
      return undefined;
    } catch (error) {
      if ((error as { code?: string }).code !== '55P03' || attempt === ATTEMPTS) {
        return `${view} (${oneLine(error)}): ${statement}`;
      }
      await sleep(50);
    }
  }
}
