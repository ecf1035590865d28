import { dumpRestore, measureCopies, median, pgcopydb, stream } from '../lib/bench/copy';
import { makeData } from '../lib/bench/data';
import { startBenchServers } from '../lib/bench/servers';

const DATABASE = 'app';

/** Compares ways of copying: `tsx bin/bench-copy.ts [rounds] [pgbench scale] [wide rows]`. */
async function main(): Promise<void> {
  const [rounds = 3, scale = 40, wideRows = 1_200_000] = process.argv.slice(2).map(Number);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const servers = await startBenchServers({ source: 15, target: 17 }, say);
  try {
    const bytes = await makeData(servers, DATABASE, { scale, wideRows });
    say(`${(bytes / 1e9).toFixed(2)} GB with indexes`);
    const figures = await measureCopies(servers, DATABASE, [pgcopydb, dumpRestore, stream()], rounds, say);
    const [peer, dump, ours] = figures.map(({ seconds }) => median(seconds)) as [number, number, number];
    const result = { bytes, figures, copyVsPgcopydb: ours / peer, copyVsDumpRestore: ours / dump };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } finally {
    await servers.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
