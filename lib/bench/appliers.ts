import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../assets/agent/capture';
import { Failure } from '../../assets/agent/errors';
import { bundle } from '../bundle';
import { until } from '../rehearsal/lab/processes';
import { TABLE } from './backlog';
import type { Way } from './benchmark';
import { Bucardo, STOCK, TUNED, type BucardoSetup } from './bucardo';
import { forgetState, runPhase } from './copy-ways';
import { processTree, watchMemory } from './process-memory';
import { seconds } from './program';
import type { BenchServers } from './servers';

/** What the application of a backlog came to. */
export interface Applied {
  readonly seconds: number;
  /** The most memory that all its processes had together; MB. Absent where they are the servers' own. */
  readonly megabytes?: number;
}

/** Something that applies a backlog. */
export interface Applier extends Way {
  readonly database: string;
  /** Whether it finds changed keys in a queue. */
  readonly queued: boolean;
  /** Installs what notes changes. */
  prepare(servers: BenchServers): Promise<void>;
  /** Applies the backlog. */
  apply(servers: BenchServers): Promise<Applied>;
}

/** Catch-up, in a process of its own. */
export const ibex: Applier = {
  name: 'Ibex catch-up',
  database: 'applied_by_ibex',
  queued: true,
  prepare: async (servers) => {
    const config = servers.config(ibex.database);
    await forgetState(servers, config);
    await runPhase(config, 'capture', (context) => capture.run(context));
  },
  apply: async (servers) => {
    const config = servers.config(ibex.database);
    mkdirSync(config.host.runDirectory, { recursive: true });
    const [program, settings] = [join(servers.directory, 'catch-up.js'), join(servers.directory, 'catch-up.json')];
    bundle({ entry: 'lib/bench/catch-up-process.ts', outFile: program, target: 'node20' });
    writeFileSync(settings, JSON.stringify(config), { mode: 0o600 });
    const child = spawn(process.execPath, [program, settings], {
      env: { ...process.env, ...servers.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const memory = watchMemory(() => (child.pid === undefined ? [] : processTree(child.pid)));
    let [printed, said] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (printed += text.toString()));
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
    const megabytes = memory.stop();
    if (code !== 0) throw new Failure(`catch-up failed: ${said.trim()}`);
    return { seconds: (JSON.parse(printed) as { seconds: number }).seconds, megabytes };
  },
};

function bucardo(name: string, database: string, setup: BucardoSetup): Applier {
  return {
    name,
    database,
    queued: true,
    prepare: async (servers) => void (await Bucardo.setUp(servers, database, [TABLE], setup)),
    apply: async (servers) => {
      const daemon = await Bucardo.setUp(servers, database, [TABLE], setup);
      const memory = watchMemory(() => daemon.processes());
      try {
        return { seconds: await daemon.drain(), megabytes: memory.stop() };
      } finally {
        memory.stop();
      }
    },
  };
}

export const stock = bucardo('stock Bucardo', 'applied_by_stock', STOCK);
export const tuned = bucardo('tuned Bucardo', 'applied_by_tuned', TUNED);

/** Name of its publication, subscription and slot. */
const NATIVE = 'bench';

const NATIVE_TIMEOUT_MS = 600_000;

/** Native logical replication: what the servers can do between them, where a source lets anybody use it. */
export const native: Applier = {
  name: 'logical replication',
  database: 'applied_by_native',
  queued: false,
  mostRounds: 1,
  prepare: async (servers) => {
    await onEnd(servers, 'source', `CREATE PUBLICATION ${NATIVE} FOR TABLE ${TABLE}`);
    await onEnd(servers, 'source', `SELECT pg_create_logical_replication_slot('${NATIVE}', 'pgoutput')`);
  },
  apply: async (servers) => {
    const { user, password } = servers.login;
    const { host, port } = servers.source;
    const address = `host=${host} port=${port} user=${user} password=${password} dbname=${native.database}`;
    await onEnd(
      servers,
      'target',
      `CREATE SUBSCRIPTION ${NATIVE} CONNECTION '${address}' PUBLICATION ${NATIVE}
       WITH (create_slot = false, slot_name = ${NATIVE}, copy_data = false, enabled = false)`,
    );
    try {
      // The last change of all: when it is there, everything is.
      const mark = `end ${Date.now()}`;
      await onEnd(servers, 'source', `UPDATE ${TABLE} SET filler = '${mark}' WHERE aid = 1`);
      const target = await servers.connect('target', native.database);
      try {
        const arrived = async (): Promise<boolean> =>
          (await target.query(`SELECT 1 FROM ${TABLE} WHERE aid = 1 AND filler = '${mark}'`)).rowCount === 1;
        const took = await seconds(async () => {
          await target.query(`ALTER SUBSCRIPTION ${NATIVE} ENABLE`);
          if (!(await until(arrived, NATIVE_TIMEOUT_MS, 50))) throw new Failure('logical replication does not arrive');
        });
        return { seconds: took };
      } finally {
        await target.end();
      }
    } finally {
      // Takes the slot with it.
      await onEnd(servers, 'target', `DROP SUBSCRIPTION ${NATIVE}`);
    }
  },
};

async function onEnd(servers: BenchServers, end: 'source' | 'target', statement: string): Promise<void> {
  const client = await servers.connect(end, native.database);
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
