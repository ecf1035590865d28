import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { Failure, oneLine } from '../../../assets/agent/errors';
import { run } from './run';
import { DATABASE, type Login } from './source';
import type { Server } from './server';

const DATA = join(__dirname, '..', 'data');

/** What the loading of the source's example needs of the lab. */
export interface ExampleOptions {
  readonly source: Server;
  readonly owner: Login;
  /** Connection of the owner to the source's database. */
  readonly connect: () => Promise<Client>;
  /** pgbench -s; accounts come by 100,000. */
  readonly scale: number;
  /** pgbench, of any version from 11. */
  readonly pgbench: string;
  /** libpq password file that has the owner. */
  readonly passwordFile: string;
}

/** Fills the source's database: pgbench's tables, and an example schema with what real ones have. */
export async function loadExample(options: ExampleOptions): Promise<void> {
  const { source, owner, scale, pgbench, passwordFile } = options;
  const admin = await source.admin(DATABASE);
  try {
    await runFile(admin, 'extensions.sql');
  } finally {
    await admin.end();
  }
  const connection = ['-h', source.host, '-p', String(source.port), '-U', owner.user];
  await run(pgbench, ['-i', '-q', '-s', String(scale), ...connection, DATABASE], {
    environment: { PGPASSFILE: passwordFile },
  });
  const client = await options.connect();
  try {
    // Dates in the data are written for this zone and style, whatever the server's defaults are.
    await client.query(`SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'`);
    for (const file of ['pgbench.sql', 'types.sql', 'tables.sql', 'data.sql', 'behaviour.sql'])
      await runFile(client, file);
    await client.query('ANALYZE');
  } finally {
    await client.end();
  }
}

async function runFile(client: Client, file: string): Promise<void> {
  try {
    await client.query(readFileSync(join(DATA, file), 'utf8'));
  } catch (error) {
    throw new Failure(`example schema, ${file}: ${oneLine(error)}`);
  }
}
