import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { Failure, oneLine, UsageError } from '../../../assets/agent/errors';
import { ident, identList } from '../../../assets/agent/sql';
import { clientTools } from './client-tools';
import { detectDump, type DumpFormat } from './dump-format';
import { type DumpNeeds, scanDump, withoutNewSettings } from './dump-scan';
import { ProgramFailure, run } from './run';
import type { Server } from './server';
import { DATABASE } from './source';

/** What the loading of a dump needs of the lab. */
export interface DumpOptions {
  /** File, or directory of pg_dump's directory format. */
  readonly path: string;
  readonly source: Server;
  /** Whose everything is afterwards. */
  readonly owner: string;
  /** Who may read and write everything afterwards. */
  readonly application: string;
  /** The source's superuser. */
  readonly superuser: string;
  /** libpq password file that has the superuser. */
  readonly passwordFile: string;
  readonly log: (line: string) => void;
}

/** Superuser that the dump is loaded as. What the server's first superuser owns could not be given away afterwards. */
const LOADER = 'ibex_loader';

/** Newest archive that pg_restore 15 reads is 1.14. */
const needsNewerTools = (format: DumpFormat): boolean =>
  format.kind !== 'plain' && Number(format.version.split('.')[1]) > 14;

/**
 * Loads somebody's dump into the source's database, in place of the example: everything then belongs to the owner, and
 * the application may read and write all of it. Throws UsageError or Failure with the file, the statement and the cause.
 */
export async function loadDump(options: DumpOptions): Promise<void> {
  const { path, source } = options;
  const format = detectDump(path);
  const tools = await clientTools(needsNewerTools(format) ? 17 : 15, options.log);
  const needs = format.kind === 'plain' ? await scanDump(createReadStream(path), path) : await scanArchive(path, tools);
  const admin = await source.admin(DATABASE);
  try {
    await prepare(admin, needs, options);
    await (format.kind === 'plain' ? loadPlain(tools, options) : loadArchive(format, tools, options));
    await handOver(admin, options);
    await admin.query('ANALYZE');
  } finally {
    await admin.end();
  }
}

async function scanArchive(path: string, tools: string): Promise<DumpNeeds> {
  const child = spawn(join(tools, 'pg_restore'), ['--schema-only', '--file=-', path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = new Promise((resolve) => child.once('close', resolve));
  const needs = await scanDump(child.stdout, path);
  if ((await status) === 0) return needs;
  throw new UsageError(
    `dump ${path} cannot be read: ${new ProgramFailure('pg_restore', said, 1).message}; make it again with pg_dump`,
  );
}

async function prepare(admin: Client, needs: DumpNeeds, { path, source }: DumpOptions): Promise<void> {
  const { rows } = await admin.query<{ rolname: string }>('SELECT rolname FROM pg_roles');
  const present = new Set(rows.map(({ rolname }) => rolname));
  for (const role of needs.roles) {
    if (present.has(role)) continue;
    if (role.startsWith('pg_')) {
      throw new Failure(
        `dump ${path} names the role ${role}, which PostgreSQL ${source.version} does not have; take a newer --source-version`,
      );
    }
    await admin.query(`CREATE ROLE ${ident(role)} NOLOGIN`);
  }
  await admin.query(`CREATE ROLE ${LOADER} SUPERUSER NOLOGIN`);
  if (needs.makesPublic) await admin.query('DROP SCHEMA public');
}

const connection = ({ source, superuser }: DumpOptions): string[] => [
  '-h',
  source.host,
  '-p',
  String(source.port),
  '-U',
  superuser,
  '-d',
  DATABASE,
];

async function loadPlain(tools: string, options: DumpOptions): Promise<void> {
  const { path, source, passwordFile } = options;
  const input = createReadStream(path).pipe(withoutNewSettings(source.version));
  const quiet = ['-X', '-q', '-b', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', '-'];
  try {
    const environment = { PGPASSFILE: passwordFile, PGOPTIONS: `-c role=${LOADER}` };
    await run(join(tools, 'psql'), [...quiet, ...connection(options)], { environment, input });
  } catch (error) {
    const said = stderrOf(error);
    const place = /^psql:<stdin>:(\d+): (.*)$/m.exec(said);
    throw new Failure(
      `dump ${path}${place ? `, line ${place[1]}` : ''}: ${place?.[2] ?? oneLine(error)}${statement(/STATEMENT: +([^]*)/.exec(said)?.[1])}`,
    );
  }
}

async function loadArchive(format: DumpFormat, tools: string, options: DumpOptions): Promise<void> {
  const { path, passwordFile } = options;
  // Owner and table access method are the dump's server's; a tar file cannot be read in parallel.
  const how = [
    '--exit-on-error',
    '--no-owner',
    '--no-table-access-method',
    `--role=${LOADER}`,
    ...(format.kind === 'tar' ? [] : ['--jobs=2']),
  ];
  try {
    await run(join(tools, 'pg_restore'), [...how, ...connection(options), path], {
      environment: { PGPASSFILE: passwordFile },
    });
  } catch (error) {
    const said = stderrOf(error);
    const cause = /(ERROR: .*)$/m.exec(said)?.[1];
    throw new Failure(
      `dump ${path}: ${cause ?? oneLine(error)}${statement(/^Command was: ([^]*?)(?:\npg_restore:|$)/m.exec(said)?.[1])}`,
    );
  }
}

const stderrOf = (error: unknown): string => (error instanceof ProgramFailure ? error.stderr : '');

/** The statement that failed, as the end of a line. */
const statement = (text = ''): string => {
  const line = text.replace(/\s+/g, ' ').trim();
  return line === '' ? '' : `; statement: ${line.length > 200 ? `${line.slice(0, 200)}…` : line}`;
};

/** Makes the loaded database look like one of a hosted service: one owner without special rights, one application. */
async function handOver(admin: Client, { path, owner, application }: DumpOptions): Promise<void> {
  const names = async (query: string): Promise<string[]> =>
    (await admin.query<{ name: string }>(query)).rows.map(({ name }) => name);
  const triggers = await names('SELECT evtname AS name FROM pg_event_trigger');
  if (triggers.length > 0) {
    throw new Failure(
      `dump ${path} holds event triggers (${triggers.join(', ')}), which only a superuser may own; leave them out of the dump`,
    );
  }
  // Roles that no superuser made before the dump was loaded: oid 16384 is the first that a server gives away.
  const owners = await names(`SELECT rolname AS name FROM pg_roles WHERE oid >= 16384`);
  const others = owners.filter((name) => name !== owner);
  await admin.query(`REASSIGN OWNED BY ${identList(others)} TO ${ident(owner)}`);
  await admin.query(`DROP OWNED BY ${LOADER}`);
  await admin.query(`DROP ROLE ${LOADER}`);
  const schemas = await names(
    `SELECT nspname AS name FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1`,
  );
  for (const schema of schemas.map(ident)) {
    await admin.query(`ALTER SCHEMA ${schema} OWNER TO ${ident(owner)}`);
    await admin.query(`GRANT USAGE ON SCHEMA ${schema} TO ${ident(application)}`);
    await admin.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${ident(application)}`,
    );
    await admin.query(`GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${ident(application)}`);
    await admin.query(`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${ident(application)}`);
  }
  const tables = await names(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' LIMIT 1`,
  );
  if (tables.length === 0) throw new UsageError(`dump ${path} holds no table; make it again with pg_dump`);
}
