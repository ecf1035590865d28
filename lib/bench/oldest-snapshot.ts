import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { BenchServers } from './servers';

const INTERVAL_MS = 100;

/** The longest of what was seen; seconds. */
export interface Seen {
  /** Age of a snapshot that a session of ours held on the source. */
  readonly oldest: number;
  /** Age of a transaction of ours on the target that took rows. */
  readonly longestChunk: number;
}

const SNAPSHOTS = `
  SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS seconds
  FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND application_name LIKE 'ibex %'`;

const CHUNKS = `
  SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS seconds
  FROM pg_stat_activity WHERE query LIKE 'COPY % FROM STDIN%' AND state = 'active' AND application_name LIKE 'ibex %'`;

/** Watches the source's snapshots and the target's chunks until `stop`. */
export async function watchSnapshots(servers: BenchServers): Promise<{ stop(): Promise<Seen> }> {
  const [source, target] = [await servers.connect('source'), await servers.connect('target')];
  let [oldest, longestChunk] = [0, 0];
  const ending = new AbortController();
  const look = async (client: Client, query: string): Promise<number> =>
    ((await client.query(query)).rows[0] as { seconds: number }).seconds;
  const watching = (async () => {
    while (!ending.signal.aborted) {
      oldest = Math.max(oldest, await look(source, SNAPSHOTS));
      longestChunk = Math.max(longestChunk, await look(target, CHUNKS));
      await sleep(INTERVAL_MS);
    }
  })();
  watching.catch(() => undefined);
  return {
    stop: async () => {
      ending.abort();
      try {
        await watching;
      } finally {
        await source.end();
        await target.end();
      }
      return { oldest, longestChunk };
    },
  };
}
