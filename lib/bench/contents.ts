import { Failure } from '../../assets/agent/errors';
import { withoutStatistics } from '../../assets/agent/catalog/statistics';
import { compareCatalogs } from '../../assets/agent/verify/compare-catalogs';
import type { BenchServers } from './servers';

/** What is counted of one end, one line each: rows of every table, and where its sequences stand. */
export async function tableCounts(
  servers: BenchServers,
  end: 'source' | 'target',
  database: string,
): Promise<readonly string[]> {
  const client = await servers.connect(end, database);
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    );
    const counts: string[] = [];
    for (const { name } of rows) {
      const { rows: found } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${name}`);
      counts.push(`${name}: ${found[0]?.n} rows`);
    }
    const { rows: sequences } = await client.query<{ line: string }>(
      `SELECT format('%s: at %s', sequencename, last_value) AS line FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1`,
    );
    return [...counts, ...sequences.map(({ line }) => line)];
  } finally {
    await client.end();
  }
}

/** How many differences are told. */
const SHOWN = 5;

/**
 * Throws Failure unless the target has the same rows, by count, sequences and catalogs, and statistics of every table.
 *
 * @param expected counts of the source
 */
export async function expectEqualDatabases(
  servers: BenchServers,
  database: string,
  expected: readonly string[],
): Promise<void> {
  const counts = new Set(await tableCounts(servers, 'target', database));
  const problems = expected.filter((line) => !counts.has(line)).map((line) => `not on the target: ${line}`);
  const [source, target] = [await servers.connect('source', database), await servers.connect('target', database)];
  try {
    const { failures, warnings } = await compareCatalogs(source, target, servers.config(database));
    problems.push(...failures, ...warnings.filter((text) => text.endsWith('is only on the target')));
    const bare = await withoutStatistics(target, servers.config(database));
    problems.push(...bare.map((table) => `${table.sql} was not analyzed`));
  } finally {
    await source.end();
    await target.end();
  }
  if (problems.length > 0) {
    throw new Failure(`${problems.length} differences after the copy: ${problems.slice(0, SHOWN).join('; ')}`);
  }
}
