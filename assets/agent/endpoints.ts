import type { AgentConfig, EndConfig, SslMode } from './config';
import { Failure } from './errors';
import { readLogin } from './secrets';

/** One of the two databases of a migration. */
export type End = 'source' | 'target';

/** The end that has this value; undefined for a value of neither. */
export const endWith = <T>(values: Readonly<Record<End, T>>, value: T | undefined): End | undefined =>
  (['source', 'target'] as const).find((end) => values[end] === value);

/**
 * Which way writes are moved: `forward` from source to target, or `back`, once the target has taken writes. Everything
 * between both ends works either way: it calls the end that is left `source`, and the end that takes over `target`.
 */
export type Direction = 'forward' | 'back';

/** Whatever the program opens sessions on: both ends, and the fork or replica of the source that is dumped. */
export type Server = End | 'dumpSource';

/** Address, login and TLS of one end, complete. */
export interface Endpoint {
  readonly end: Server;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly sslmode: SslMode;
  readonly sslRootCert?: string;
}

/** Puts together what the configuration and the secret say of one end. Throws Failure that names what is missing. */
export async function endpointOf(config: AgentConfig, end: Server): Promise<Endpoint> {
  const settings: EndConfig | undefined = config[end];
  if (!settings) throw new Failure(`${end}: not in the configuration; add it there`);
  const login = await readLogin(config.secrets, settings.secret);
  const host = settings.host ?? login.host;
  const database = settings.database ?? login.dbname;
  if (host === undefined || database === undefined) {
    const missing = host === undefined ? 'host' : 'dbname';
    throw new Failure(
      `${end}: no "${missing}", neither in the configuration nor in secret ${settings.secret}; add it there`,
    );
  }
  return {
    end,
    host,
    port: settings.port ?? login.port ?? 5432,
    database,
    user: login.username,
    password: login.password,
    sslmode: settings.sslmode ?? 'verify-full',
    ...(settings.sslRootCert !== undefined && { sslRootCert: settings.sslRootCert }),
  };
}
