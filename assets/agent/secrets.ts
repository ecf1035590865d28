import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfig } from './config';
import { Failure, oneLine } from './errors';

/** Longest time of one call, which is tried three times; milliseconds. */
const CALL_TIMEOUT_MS = 10_000;

/** A database login as RDS and Heroku secrets hold it; the address is there only where the configuration lacks it. */
export interface Login {
  readonly username: string;
  readonly password: string;
  readonly host?: string;
  readonly port?: number;
  readonly dbname?: string;
}

/** Fetches the text of one secret. */
type Fetch = (id: string) => Promise<string>;

function fetcher(config: AgentConfig['secrets']): Fetch {
  if (config.kind === 'directory') {
    return async (id) => {
      const file = join(config.path, id);
      const { mode } = await stat(file);
      if ((mode & 0o077) !== 0) {
        throw new Error(`file mode is ${(mode & 0o777).toString(8)}, others may read it; make it 600`);
      }
      return readFile(file, 'utf8');
    };
  }
  // Loaded when it is needed, as the other clients of AWS are.
  const { SecretsManagerClient, GetSecretValueCommand } =
    require('@aws-sdk/client-secrets-manager') as typeof import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({
    region: config.region,
    requestHandler: { requestTimeout: CALL_TIMEOUT_MS, throwOnRequestTimeout: true },
  });
  return async (id) => (await client.send(new GetSecretValueCommand({ SecretId: id }))).SecretString ?? '';
}

/**
 * Reads a login from where secrets are kept. Throws Failure with the secret's name, never with its content, when it is
 * absent, no JSON, or without user name and password.
 */
export async function readLogin(config: AgentConfig['secrets'], id: string): Promise<Login> {
  let text: string;
  try {
    text = await fetcher(config)(id);
  } catch (error) {
    throw new Failure(`secret ${id} cannot be read: ${oneLine(error)}`);
  }
  const login = parse(text);
  if (!login) {
    throw new Failure(
      `secret ${id} is not filled: it must be JSON with "username" and "password"; put the value there and start again`,
    );
  }
  return login;
}

function parse(text: string): Login | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    if (typeof value['username'] !== 'string' || typeof value['password'] !== 'string') return undefined;
    const port = Number(value['port']);
    return {
      username: value['username'],
      password: value['password'],
      ...(typeof value['host'] === 'string' && { host: value['host'] }),
      ...(Number.isInteger(port) && port > 0 && { port }),
      ...(typeof value['dbname'] === 'string' && { dbname: value['dbname'] }),
    };
  } catch {
    return undefined;
  }
}
