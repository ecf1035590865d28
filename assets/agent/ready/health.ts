import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import type { HealthConfig } from '../config';
import { oneLine } from '../errors';
import { oneStatement } from './one-statement';

const execute = promisify(execFile);

/** What one probe of the application said. */
export interface ProbeResult {
  /** The statement, or the program. */
  readonly probe: string;
  readonly end: 'source' | 'target' | 'application';
  readonly ms: number;
  /** Why it is not well; absent when it is. */
  readonly problem?: string;
}

/**
 * Asks whether the application would be, or is, well: each statement in a read-only transaction of its own, well when
 * it gives a row whose first column is not false; and the program, well when it ends with status 0.
 */
export async function probeHealth(
  health: HealthConfig,
  ends: { readonly source?: Client; readonly target?: Client },
): Promise<ProbeResult[]> {
  const results: ProbeResult[] = [];
  for (const end of ['source', 'target'] as const) {
    const client = ends[end];
    if (!client) continue;
    for (const statement of health[end])
      results.push(await timed(end, statement, () => probe(client, statement, health.timeoutSeconds)));
  }
  const [program, ...args] = health.command;
  if (program !== undefined)
    results.push(await timed('application', program, () => run(program, args, health.timeoutSeconds)));
  return results;
}

async function timed(
  end: ProbeResult['end'],
  probe: string,
  work: () => Promise<string | undefined>,
): Promise<ProbeResult> {
  const began = performance.now();
  const problem = await work().catch(oneLine);
  return { end, probe, ms: Math.round(performance.now() - began), ...(problem !== undefined && { problem }) };
}

async function probe(client: Client, statement: string, seconds: number): Promise<string | undefined> {
  await client.query('BEGIN READ ONLY');
  try {
    await client.query(`SET LOCAL statement_timeout = ${seconds * 1000}`);
    const { rows } = await oneStatement(client, statement);
    if (rows.length === 0) return 'it gives no row';
    return rows[0]?.[0] === false ? 'it gives false' : undefined;
  } finally {
    await client.query('ROLLBACK');
  }
}

async function run(program: string, args: readonly string[], seconds: number): Promise<string | undefined> {
  try {
    await execute(program, [...args], { timeout: seconds * 1000, killSignal: 'SIGKILL' });
    return undefined;
  } catch (error) {
    const { killed, stderr, code } = error as { killed?: boolean; stderr?: string; code?: unknown };
    if (killed === true) return `it took longer than ${seconds} s`;
    return oneLine((stderr ?? '').trim() || `it ended with ${String(code)}`);
  }
}
