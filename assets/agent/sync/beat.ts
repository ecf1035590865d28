import type { Client } from 'pg';
import { literal } from '../sql';
import type { Duty, Watch } from './duty';
import { heartbeatOf } from './heartbeat';
import { PLAN_FACT, type Plan } from './plan';

/** Fact, in the state, of how far each sync was behind at the last look. */
export const LAG_FACT = 'sync.lag';

/** How far the syncs were behind, and when that was seen: nobody tells of a supervisor that is dead or hangs but its age. */
export interface SeenLag {
  /** Milliseconds since the epoch, on the host's clock. */
  readonly at: number;
  /** Seconds by the sync's name; none on the way back, which has no heartbeats. */
  readonly lag: Readonly<Record<string, number>>;
}

/** Beats that are remembered of a sync that is stuck: more would tell nothing more. */
const MOST_BEATS = 10_000;

/**
 * Measures the lag of each sync from end to end: writes a beat on the source each second, and looks which have arrived
 * on the target. The lag is the age of the oldest that has not, on the source's clock; 0 when all have.
 */
export class Heartbeats implements Duty {
  readonly name = 'heartbeat';
  readonly everyMs = 1_000;

  /** @param sent beats on their way by sync, oldest first; microseconds since 1970 */
  constructor(
    private readonly watch: Watch,
    private readonly sent: Map<string, bigint[]>,
  ) {}

  async run(): Promise<void> {
    const { context, ends } = this.watch;
    const syncs = Object.keys((await context.state.fact<Plan>(PLAN_FACT)) ?? {});
    if (syncs.length === 0) return;
    const arrived = await beats(ends.target, syncs, 'SELECT');
    const written = await beats(ends.source, syncs, 'UPDATE');
    const lag: Record<string, number> = {};
    for (const sync of syncs) {
      const now = written.get(sync);
      const there = arrived.get(sync) ?? 0n;
      const waiting = (this.sent.get(sync) ?? []).filter((beat) => beat > there);
      const oldest = waiting[0];
      lag[sync] = now === undefined || oldest === undefined ? 0 : Number(now - oldest) / 1e6;
      if (now !== undefined && waiting.length < MOST_BEATS) waiting.push(now);
      this.sent.set(sync, waiting);
    }
    await context.state.setFact(LAG_FACT, { at: Date.now(), lag } satisfies SeenLag);
  }
}

const MICROSECONDS = `(extract(epoch FROM beat)::numeric * 1000000)::int8::text`;

/** Reads or writes the beat of each sync, in one statement. */
async function beats(
  client: Client,
  syncs: readonly string[],
  kind: 'SELECT' | 'UPDATE',
): Promise<Map<string, bigint>> {
  const parts = syncs.map((sync, index) => {
    const { sql: table } = heartbeatOf(sync);
    const told = `${literal(sync)} AS sync, ${MICROSECONDS} AS beat`;
    return kind === 'SELECT'
      ? { read: `SELECT ${told} FROM ${table}`, write: '' }
      : {
          read: `SELECT * FROM b${index}`,
          write: `b${index} AS (UPDATE ${table} SET beat = clock_timestamp() RETURNING ${told})`,
        };
  });
  const writes = parts.map(({ write }) => write).filter((write) => write !== '');
  const withs = writes.length > 0 ? `WITH ${writes.join(', ')} ` : '';
  const { rows } = await client.query(`${withs}${parts.map(({ read }) => read).join(' UNION ALL ')}`);
  return new Map((rows as { sync: string; beat: string }[]).map(({ sync, beat }) => [sync, BigInt(beat)]));
}
