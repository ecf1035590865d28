import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { Endpoint } from '../endpoints';
import { Failure } from '../errors';
import { ident, literal, qualified } from '../sql';
import { BUCARDO_LOGIN } from './names';
import { passRowSecurity } from './row-security';

/** How long backends may take to vanish after they were told to; milliseconds. */
const GONE_TIMEOUT_MS = 30_000;

/**
 * Makes Bucardo's own login on the target, with a new random password each time and no more rights than it needs, and
 * lets it in. Returns the target as Bucardo is to see it.
 */
export async function admitBucardo(
  context: Context,
  target: Client,
  relations: readonly Relation[],
): Promise<Endpoint> {
  const endpoint = await context.endpoint('target');
  const password = randomBytes(24).toString('base64url');
  const role = ident(BUCARDO_LOGIN);
  const known = await target.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  await target.query(
    `${known.rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${role} LOGIN PASSWORD ${literal(password)} CONNECTION LIMIT 20`,
  );
  // To end its sessions, and to hand on the right to set session_replication_role, which rds_superuser carries.
  await target.query(`GRANT ${role} TO CURRENT_USER`);
  const elevated = await target.query(
    `SELECT 1 FROM pg_roles WHERE rolname = 'rds_superuser' AND pg_has_role(current_user, oid, 'MEMBER')`,
  );
  if (elevated.rowCount !== 0) await target.query(`GRANT rds_superuser TO ${role}`);
  else await target.query(`GRANT SET ON PARAMETER session_replication_role TO ${role}`);
  await target.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${ident(endpoint.database)} TO ${role}`);
  // Of keys' operators, too: what is not found there by its search path is the one of text.
  const operators = relations.flatMap(({ key }) => key?.columns.map(({ operatorSchema }) => operatorSchema) ?? []);
  const schemas = new Set([...relations.map(({ schema }) => schema), ...operators]);
  schemas.delete('pg_catalog');
  for (const schema of schemas) {
    await target.query(`GRANT USAGE ON SCHEMA ${ident(schema)} TO ${role}`);
  }
  for (const { schema, name } of relations) {
    await target.query(`GRANT SELECT, INSERT, DELETE ON ${qualified(schema, name)} TO ${role}`);
  }
  await passRowSecurity(target, relations);
  return { ...endpoint, user: BUCARDO_LOGIN, password };
}

/** Shuts Bucardo out of the target: no new session, none left. Throws Failure when one does not go. */
export async function expelBucardo(target: Client): Promise<void> {
  const known = await target.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  if (known.rowCount === 0) return;
  await target.query(`ALTER ROLE ${ident(BUCARDO_LOGIN)} NOLOGIN`);
  await terminate(target, 'the target', 'usename = $1', [BUCARDO_LOGIN]);
}

const OF_OURS_ON_SOURCE = `usename = current_user AND application_name LIKE 'bucardo %'`;

/** Ends Bucardo's sessions on the source; there it shares the login of the migration, so they are told by name. */
export async function endSourceSessions(source: Client): Promise<void> {
  await terminate(source, 'the source', OF_OURS_ON_SOURCE, []);
}

/**
 * Ends Bucardo's sessions on both ends whose process is gone: the server goes on with what a killed one had asked for,
 * beside its successor. Bucardo writes its process into the session's name.
 *
 * @param alive processes of Bucardo on this host, read anew
 */
export async function endOrphans(
  { source, target }: { readonly source: Client; readonly target: Client },
  alive: () => readonly number[],
): Promise<void> {
  const orphan = (application: string): boolean => {
    const [, process] = / \(PID (\d+)\)$/.exec(application) ?? [];
    return process !== undefined && !alive().includes(Number(process));
  };
  await terminate(target, 'the target', 'usename = $1', [BUCARDO_LOGIN], orphan);
  await terminate(source, 'the source', OF_OURS_ON_SOURCE, [], orphan);
}

async function terminate(
  client: Client,
  where: string,
  condition: string,
  values: string[],
  which: (application: string) => boolean = () => true,
): Promise<void> {
  const deadline = performance.now() + GONE_TIMEOUT_MS;
  for (;;) {
    const { rows } = await client.query(
      `SELECT pid, application_name AS application FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`,
      values,
    );
    const pids = (rows as { pid: number; application: string }[]).flatMap((row) =>
      which(row.application) ? [row.pid] : [],
    );
    if (pids.length === 0) return;
    await client.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS s (pid)', [pids]);
    if (performance.now() > deadline) {
      throw new Failure(
        `sessions of Bucardo on ${where} do not end (pid ${pids.join(', ')}); end them there and start again`,
      );
    }
    await sleep(50);
  }
}
