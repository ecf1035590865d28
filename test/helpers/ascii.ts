import type { Client } from 'pg';
import type { AgentConfig } from '../../assets/agent/config';
import type { TestMigration } from './migration';

/** Both ends in SQL_ASCII, which takes any bytes for text. */
export interface AsciiEnds {
  /** The settings that lead to them. */
  readonly config: Partial<AgentConfig>;
  /** A session on the source that may write such bytes. */
  readonly source: Client;
  readonly target: Client;
}

/** Makes a database in SQL_ASCII on each end, beside the present ones. */
export async function asciiEnds(migration: TestMigration): Promise<AsciiEnds> {
  const made = async (end: 'source' | 'target', owner: string): Promise<string> => {
    const name = `${migration.config[end].database}_ascii`;
    const admin = await migration.admin(end, 'postgres');
    await admin.query(
      `CREATE DATABASE ${name} OWNER ${owner} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
    );
    await admin.end();
    return name;
  };
  const [here, there] = [await made('source', 'mover'), await made('target', 'master')];
  const [source, target] = [await migration.admin('source', here), await migration.admin('target', there)];
  await source.query(`SET client_encoding = 'SQL_ASCII'`);
  const config = {
    source: { ...migration.config.source, database: here },
    target: { ...migration.config.target, database: there },
  };
  return { config, source, target };
}
