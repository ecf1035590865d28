import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../assets/agent/capture';
import { readRelations, type Relation } from '../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../assets/agent/config';
import { connectTo } from '../../assets/agent/connect';
import { Context } from '../../assets/agent/context';
import { Failure } from '../../assets/agent/errors';
import { readTypeShapes } from '../../assets/agent/type-shapes';
import { checkKeyIndexes } from '../../assets/agent/verify/index-checks';
import { hashOf, RelationSql } from '../../assets/agent/verify/relation-sql';
import { verifyRows } from '../../assets/agent/verify/rows';
import type { End } from '../../assets/agent/endpoints';
import { absentees, inTurn, onlyRounds, type Benchmark, type Way } from './benchmark';
import { forgetCapture, runPhase, stream } from './copy-ways';
import { MEDIUM, TINY } from './data-sets';
import { missing, runProgram, seconds } from './program';
import type { BenchServers } from './servers';
import { figureOf, valuesOf } from './statistics';

/** What is measured, by the seconds that it takes. */
interface Measured extends Way {
  run(): Promise<number>;
}

/** Verify beside one plain pass over each side with the same hash, which nothing that hashes every row can beat by much. */
export const verify: Benchmark = {
  name: 'verify',
  title: 'Comparison of every row',
  about:
    'Verify compares every row of both sides, by two connections to each. The hash pass is one statement for each table, with the same expression, by one connection, without parallel workers; the slower side counts. The check of the key indexes, which is done once, is measured beside it.',
  minutes: { full: 3, quick: 0.3 },
  run: async ({ servers, data, quick, rounds, log }) => {
    const { database, bytes } = await data.get(quick ? TINY : MEDIUM);
    await makeTarget(servers, database);
    const config = servers.config(database);
    await runPhase(config, 'capture', (context) => capture.run(context));
    const context = await Context.create(config, 'verify');
    try {
      const relations = await context.with('source', (source) => readRelations(source, config));
      const ways: Measured[] = [
        { name: 'Ibex verify', run: () => seconds(() => verifyOnce(context, relations)) },
        { name: 'hash pass of the source', run: () => hashPass(context, 'source', relations) },
        { name: 'hash pass of the target', run: () => hashPass(context, 'target', relations) },
        {
          name: 'pgcopydb compare data',
          absent: comparesNot(),
          mostRounds: 1,
          run: () => compareData(servers, database, config),
        },
        {
          name: 'check of the key indexes',
          mostRounds: 1,
          run: () =>
            seconds(async () => {
              await context.state.setFact('verify.indexes', {});
              await checkKeyIndexes(context, relations);
            }),
        },
      ];
      const { series, failures } = await inTurn(
        ways,
        rounds(3),
        (way) => way.run(),
        (way, round, took) => log(`round ${round}: ${way.name} ${took.toFixed(1)} s`),
      );
      const compared = ['Ibex verify', 'hash pass of the source', 'hash pass of the target'];
      return {
        figures: {
          verifyVsHashPass: figureOf(
            compared.map((name) => valuesOf(series, name)),
            (own = Number.NaN, ...passes) => own / Math.max(...passes),
          ),
        },
        charts: [{ title: `Comparison of ${(bytes / 1e9).toFixed(1)} GB with indexes`, unit: 's', series }],
        notes: [
          'The figure is that of each verify but the first of a migration, which checks the key indexes as well. It is measured at full speed: `agent.verify.maxRowsPerSecond` bounds what it asks of the source.',
          'pgcopydb compares, of each table, the count of rows and one sum of 32-bit hashes; it ran while capture was off.',
          ...ways.flatMap(onlyRounds),
          ...absentees(ways),
        ],
        failures,
      };
    } finally {
      await context.close();
      await forgetCapture(config);
    }
  },
};

/** Why pgcopydb cannot compare: older releases have no command for it. */
function comparesNot(): string | undefined {
  const absent = missing('pgcopydb');
  if (absent !== undefined) return absent;
  const { stdout, stderr } = spawnSync('pgcopydb', ['help'], { encoding: 'utf8' });
  return /^ .*compare/m.test(`${stdout}${stderr}`) ? undefined : 'the pgcopydb that is installed has no such command';
}

/** Without capture meanwhile: it would compare our queues, too, which the target has not. */
async function compareData(servers: BenchServers, database: string, config: AgentConfig): Promise<number> {
  const addresses = (['source', 'target'] as const).map((end) => `--${end}=${servers.address(end, database)}`);
  const directory = join(servers.directory, 'pgcopydb-compare');
  rmSync(directory, { recursive: true, force: true });
  await forgetCapture(config);
  try {
    return await seconds(() =>
      runProgram('pgcopydb', ['compare', 'data', ...addresses, `--dir=${directory}`], servers.environment),
    );
  } finally {
    await runPhase(config, 'capture', (context) => capture.run(context));
  }
}

async function makeTarget(servers: BenchServers, database: string): Promise<void> {
  const admin = await servers.connect('target');
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  await stream().run(servers, database);
}

async function verifyOnce(context: Context, relations: readonly Relation[]): Promise<void> {
  const { comparison } = await verifyRows(context, relations);
  if (!comparison.ok) throw new Failure(`${comparison.rowsDifferent} rows differ after the copy`);
}

/** Seconds of one pass over all relations of one end, in the order and with the plans that the server likes. */
async function hashPass(context: Context, end: End, relations: readonly Relation[]): Promise<number> {
  const client = await connectTo(await context.endpoint(end), 'hash pass');
  try {
    await client.query('SET max_parallel_workers_per_gather = 0; SET jit = off');
    const shapes = await readTypeShapes(client);
    return await seconds(async () => {
      for (const relation of relations) {
        await client.query(new RelationSql(relation, hashOf(relation, shapes)).sums({ text: '', values: [] }));
      }
    });
  } finally {
    await client.end();
  }
}
