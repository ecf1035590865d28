import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { BUCARDO_DATABASE, BUCARDO_LOGIN } from '../bucardo/names';
import { CAPTURE_SCHEMA } from '../capture/names';
import { hasSchema } from '../catalog/schemas';
import type { HostConfig } from '../config';
import { connectToHost } from '../connect';
import { partialDumps, rowArchive } from '../dump/partial';
import { readFenceState } from '../fence/objects';
import type { Reached } from './ends';
import { OURS } from './fence';
import { ourTriggers } from './source';

/** Files with passwords, in the host's run directory. */
export const passwordFiles = ({ runDirectory }: HostConfig): string[] =>
  readdirSync(runDirectory)
    .filter((file) => /(\.pgpass|_service\.conf|^bucardorc)$/.test(file))
    .map((file) => join(runDirectory, file));

/** All of ours that is still on the ends that can be changed, and on the host; one line each. */
export async function leftovers(host: HostConfig, { source, target, keepFence }: Reached): Promise<string[]> {
  const left = await leftOnHost(host);
  if (source) left.push(...(await leftOn(source, 'source', keepFence ? [CAPTURE_SCHEMA] : [CAPTURE_SCHEMA, 'ibex'])));
  if (source && keepFence) left.push(...(await besideFence(source)));
  if (target) left.push(...(await leftOn(target, 'target', [CAPTURE_SCHEMA, 'ibex'])));
  return left;
}

async function leftOn(client: Client, where: string, schemas: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const schema of schemas) {
    if (await hasSchema(client, schema)) left.push(`schema ${schema} on the ${where}`);
    for (const { trigger, table } of await ourTriggers(client, schema)) left.push(`trigger ${trigger} on ${table}`);
  }
  const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  if (role.rowCount !== 0) left.push(`role ${BUCARDO_LOGIN} on the ${where}`);
  return left;
}

/** A source that was left keeps its fence, shut for good, and nothing else. */
async function besideFence(source: Client): Promise<string[]> {
  const kind = (await readFenceState(source))?.kind ?? 'gone';
  const { rows } = await source.query(OURS);
  const relations = (rows as { name: string }[]).map(({ name }) => `relation ibex.${name} on the source`);
  return kind === 'final' ? relations : [`the fence of the source is ${kind}, not final`, ...relations];
}

async function leftOnHost(host: HostConfig): Promise<string[]> {
  const left = passwordFiles(host).map((file) => `password file ${file}`);
  const archive = rowArchive(host.stateDirectory);
  const dumps = [...(existsSync(archive) ? [archive] : []), ...partialDumps(host.stateDirectory)];
  left.push(...dumps.map((path) => `dump ${path}`));
  const client = await connectToHost(host, 'postgres');
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [BUCARDO_DATABASE]);
    if (rowCount !== 0) left.push(`database ${BUCARDO_DATABASE} on the host`);
  } finally {
    await client.end();
  }
  return left;
}
