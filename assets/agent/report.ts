import { appliedByBucardo, BUCARDO_ROWS_FACT } from './bucardo/runs';
import type { AgentConfig } from './config';
import { connectTo } from './connect';
import { endpointOf, type End } from './endpoints';
import { ROLLBACK_POINT, type RollbackPoint } from './ready/aws-gates';
import { State } from './state';
import { WATCH_FACT } from './watch/record';

/** Everything that the migration has proven so far, as one JSON object. */
export async function report(config: AgentConfig): Promise<Record<string, unknown>> {
  const state = await State.open(config.host);
  try {
    const phases = await state.phases();
    const counters = await state.counters();
    const bucardo = await appliedByBucardo(config.host);
    const evidence = await state.allEvidence();
    const rememberedByBucardo = (await state.fact<number>(BUCARDO_ROWS_FACT)) ?? 0;
    return {
      migration: config.migration,
      at: new Date().toISOString(),
      versions: { source: await version(config, 'source'), target: await version(config, 'target') },
      phases: phases.map(({ name, status, seconds, message, startedAt }) => ({
        name,
        status,
        seconds,
        message,
        startedAt,
      })),
      results: Object.fromEntries(phases.map(({ name, result }) => [name, result])),
      rows: {
        copy: counters['rows.copy'] ?? 0,
        catchUp: counters['rows.catch-up'] ?? 0,
        bucardo: Math.max(bucardo.rows, rememberedByBucardo),
      },
      bucardoRestarts: Math.max(0, (counters['bucardo.starts'] ?? 0) - 1),
      cutover: await state.fact('cutover.result'),
      rollback: await state.facing('back').fact('cutover.result'),
      watch: (await state.fact(WATCH_FACT)) ?? null,
      timeline: await state.fact('cutover.timeline'),
      rollbackTimeline: await state.facing('back').fact('cutover.timeline'),
      rollbackPoint: rollbackPointOf(evidence),
      evidence,
    };
  } finally {
    await state.close();
  }
}

/** The snapshot to which the target can be put back, as the gates of the last cutover, else of `ready`, have found it. */
function rollbackPointOf(evidence: readonly Record<string, unknown>[]): RollbackPoint | null {
  const asked = evidence.filter(({ gate }) => gate === ROLLBACK_POINT.name);
  const last = asked.findLast(({ phase }) => phase === 'cutover') ?? asked.at(-1);
  return (last?.['result'] as { result: RollbackPoint | null } | undefined)?.result ?? null;
}

async function version(config: AgentConfig, end: End): Promise<string | null> {
  try {
    const client = await connectTo(await endpointOf(config, end), 'report', true);
    const { rows } = await client.query(`SELECT current_setting('server_version') AS version`);
    await client.end();
    return (rows[0] as { version: string }).version;
  } catch {
    return null;
  }
}
