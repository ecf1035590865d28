import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Account } from './account';
import type { Endpoint } from './endpoint';
import type { Side } from './endpoint-process';
import type { LabPooler } from './pooler';
import type { Server } from './server';

/** What a rehearsal asks of its lab. */
export interface LabOptions {
  /** Major version of the source, 10 to 17. */
  readonly sourceVersion: number;
  /** Major version of the target, 15 to 18. */
  readonly targetVersion: number;
  /** pgbench's scale; 100,000 accounts each. */
  readonly scale: number;
  /** File or directory of a dump that takes the place of the example and of pgbench. */
  readonly dump?: string;
  /** Whether the application reaches the servers through a pooler; only as root. @default false */
  readonly pooler?: boolean;
  /** Whether the source's login may run as a replica, and the way back is armed. @default false, as on Heroku */
  readonly wayBack?: boolean;
  /** Takes one line about something that takes its time or changes the machine. */
  readonly log: (line: string) => void;
  /** Overrides of the host program's configuration; sections are merged field by field. */
  readonly settings?: Partial<AgentConfig>;
  /** Writes the host program to a file. @default bundleAgent */
  readonly program?: (file: string) => void;
}

/** Where the applications connect, and as whom; they are never told anything else. */
export interface ApplicationAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** TLS, which the pooler demands; its certificate is of its own making. @default none */
  readonly ssl?: { readonly rejectUnauthorized: false };
}

/** The stand-ins for the two database services, the Bucardo host and the load balancer. */
export interface Lab {
  readonly directory: string;
  readonly source: Server;
  readonly target: Server;
  /** The stand-in host's own PostgreSQL, reached by a Unix socket. */
  readonly hostPostgres: Server;
  readonly endpoint: Endpoint;
  /** The pooler, where the application has one. */
  readonly pooler: LabPooler | undefined;
  /** What the host program is told; also in the file that IBEX_CONFIG names. */
  readonly config: AgentConfig;
  /** The only environment that commands on the stand-in host are given. */
  readonly environment: Readonly<Record<string, string>>;
  /** Account that commands on the host may be run as; the host program takes it by itself when root starts it. */
  readonly account: Account;
  readonly application: ApplicationAddress;
  /** libpq password file with every login of both ends, to connect by hand: `PGPASSFILE=… psql -h … -p … -U …`. */
  readonly passwordFile: string;
  /** A connection straight to one end. @param as @default 'migration' */
  connect(end: 'source' | 'target', as?: 'application' | 'migration'): Promise<Client>;
  /** The side that the application's address leads to. */
  side(): Promise<Side>;
  /** Ends every process of the lab and removes its directory; may be called again. */
  close(): Promise<void>;
}
