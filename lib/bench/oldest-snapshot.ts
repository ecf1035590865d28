import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchServers } from './servers';

const INTERVAL_MS = 100;

/** Watches how old the oldest snapshot gets that a session of ours holds on the source; `stop` returns seconds. */
export async function watchSnapshots(servers: BenchServers): Promise<{ stop(): Promise<number> }> {
  const client = await servers.connect('source');
  let oldest = 0;
  const ending = new AbortController();
  const watching = (async () => {
    while (!ending.signal.aborted) {
      const { rows } = await client.query(
        `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS seconds
         FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND application_name LIKE 'ibex %'`,
      );
      oldest = Math.max(oldest, (rows[0] as { seconds: number }).seconds);
      await sleep(INTERVAL_MS);
    }
  })();
  return {
    stop: async () => {
      ending.abort();
      await watching;
      await client.end();
      return oldest;
    },
  };
}
