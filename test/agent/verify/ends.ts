import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { connectTo } from '../../../assets/agent/connect';
import type { End } from '../../../assets/agent/endpoints';
import { compareRelation, type CompareOptions } from '../../../assets/agent/verify/compare-relation';
import type { RelationComparison } from '../../../assets/agent/verify/comparison';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { NO_BRAKE } from '../../helpers/no-brake';

/** A source of PostgreSQL 11 and a target of 17, with sessions as the host program opens them. */
export interface Ends {
  readonly servers: Readonly<Record<End, TestPostgres>>;
  readonly source: Client;
  readonly target: Client;
  open(end: End): Promise<Client>;
  /** Runs SQL on the source, on the target, or on both. */
  run(where: End | 'both', sql: string): Promise<void>;
  /** The source's relation of that quoted name. */
  relation(name: string): Promise<Relation>;
  relations(...names: string[]): Promise<Relation[]>;
  compare(name: string, options?: Partial<CompareOptions>): Promise<RelationComparison>;
  stop(): Promise<void>;
}

export const config = (overrides: Partial<AgentConfig> = {}): AgentConfig => ({ ...overrides }) as AgentConfig;

export async function startEnds(): Promise<Ends> {
  const [source, target] = await Promise.all([startPostgres({ version: 11 }), startPostgres({ version: 17 })]);
  const servers = { source, target };
  const open = (end: End): Promise<Client> => {
    const { host, port, user } = servers[end];
    return connectTo({ end, host, port, user, database: 'postgres', password: '', sslmode: 'disable' }, 'test');
  };
  const sessions = { source: await open('source'), target: await open('target') };
  const relations = async (...names: string[]): Promise<Relation[]> => {
    const all = await readRelations(sessions.source, config());
    return names.map((name) => {
      const found = all.find((relation) => relation.sql === name);
      if (!found) throw new Error(`the source has no ${name}`);
      return found;
    });
  };
  const relation = async (name: string): Promise<Relation> => (await relations(name))[0] as Relation;
  return {
    servers,
    ...sessions,
    open,
    run: async (where, sql) => {
      if (where !== 'target') await sessions.source.query(sql);
      if (where !== 'source') await sessions.target.query(sql);
    },
    relation,
    relations,
    compare: async (name, options) =>
      compareRelation({ ...sessions, relation: await relation(name), chunkRows: 1000, ...options }),
    stop: async () => {
      await Promise.all([sessions.source.end(), sessions.target.end()]);
      await Promise.all([source.stop(), target.stop()]);
    },
  };
}

/**
 * Settings of a host program that moves one end to the other; its files lie in the directory, and the target's server
 * stands in for the host's own.
 */
export function agentConfig({ servers }: Ends, directory: string): AgentConfig {
  const login = JSON.stringify({ username: 'postgres', password: 'unused' });
  writeFileSync(join(directory, 'login'), login, { mode: 0o600 });
  const end = ({ host, port }: TestPostgres): AgentConfig['source'] => ({
    secret: 'login',
    host,
    port,
    database: 'postgres',
    sslmode: 'disable',
  });
  return {
    migration: 'test',
    secrets: { kind: 'directory', path: directory },
    source: end(servers.source),
    target: end(servers.target),
    host: {
      stateDirectory: join(directory, 'state'),
      runDirectory: join(directory, 'run'),
      postgres: { host: servers.target.host, port: servers.target.port, user: 'postgres' },
    },
    verify: {
      chunkRows: 500,
      jobs: 2,
      maxRowsPerSecond: 0,
      dirtyKeysPerSecond: 2_000,
      sequentialCheck: 'once',
      settleSeconds: 0.3,
    },
    sync: { longestRunSeconds: 0.15 },
    brake: NO_BRAKE,
    ready: { keysToCompare: 20_000 },
  } as AgentConfig;
}
