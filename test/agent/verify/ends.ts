import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { connectTo } from '../../../assets/agent/connect';
import type { End } from '../../../assets/agent/endpoints';
import { compareRelation, type CompareOptions } from '../../../assets/agent/verify/compare-relation';
import type { RelationComparison } from '../../../assets/agent/verify/comparison';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

/** A source of PostgreSQL 11 and a target of 17, with sessions as the host program opens them. */
export interface Ends {
  readonly servers: Readonly<Record<End, TestPostgres>>;
  readonly source: Client;
  readonly target: Client;
  open(end: End): Promise<Client>;
  /** Runs SQL on the source, on the target, or on both. */
  run(where: End | 'both', sql: string): Promise<void>;
  relation(name: string): Promise<Relation>;
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
  const relation = async (name: string): Promise<Relation> => {
    const found = (await readRelations(sessions.source, config())).find((relation) => relation.sql === name);
    if (!found) throw new Error(`the source has no ${name}`);
    return found;
  };
  return {
    servers,
    ...sessions,
    open,
    run: async (where, sql) => {
      if (where !== 'target') await sessions.source.query(sql);
      if (where !== 'source') await sessions.target.query(sql);
    },
    relation,
    compare: async (name, options) =>
      compareRelation({ ...sessions, relation: await relation(name), chunkRows: 1000, ...options }),
    stop: async () => {
      await Promise.all([sessions.source.end(), sessions.target.end()]);
      await Promise.all([source.stop(), target.stop()]);
    },
  };
}
