import { setTimeout as sleep } from 'node:timers/promises';
import type { Table } from '../catalog';
import { errorKind, isVerdict, Session, type Address } from '../session';
import { from } from '../transaction';
import { ClientKind } from './kind';
import { runPerl } from './perl';

/** Time between two wishes of one client; milliseconds. */
const EVERY_MS = 100;

/** Wait after an error, before the next try; milliseconds. */
const AGAIN_MS = 50;

/** What the clients beside the writers are told. */
export interface BesideOptions {
  readonly address: Address;
  /** A table that they may read and delete from; they change nothing. */
  readonly table: Table;
  readonly signal: AbortSignal;
  /** Takes every error that a client sees. */
  readonly failed: (error: string) => void;
}

/** Clients of other kinds than the writers, until the signal ends them. */
export interface Beside {
  readonly kinds: readonly ClientKind[];
  /** Resolves once all have ended. */
  readonly ended: Promise<unknown>;
}

/** The first table from which a deletion of no row is taken: by its privileges, its rules and its triggers. */
export async function findTable(session: Session, tables: readonly Table[]): Promise<Table | undefined> {
  for (const table of tables) {
    await session.query('BEGIN');
    try {
      await session.query(deletion(table));
      return table;
    } catch (error) {
      if (!isVerdict(error)) throw error;
    } finally {
      await session.rollback();
    }
  }
  return undefined;
}

/** A write that changes nothing: the fence refuses it by its statement, whether or not it finds a row. */
const deletion = (table: Table): string => `DELETE FROM ${from(table)} WHERE false`;

/** Starts one reader, one reader with a prepared statement, and one process of Perl's DBD::Pg, which attempts to write. */
export function startBeside(options: BesideOptions): Beside {
  const { table, address, signal } = options;
  const reads = `SELECT count(*) FROM (SELECT FROM ${from(table)} LIMIT 100) AS some`;
  const [reader, prepared, perl] = ['reader', 'reader with a prepared statement', 'writer by DBD::Pg'].map((name) => new ClientKind(name)) as [ClientKind, ClientKind, ClientKind]; // prettier-ignore
  const ended = Promise.all([
    ask(options, reader, (session) => session.query(reads)),
    ask(options, prepared, ({ client }) => client.query({ name: 'reads', text: reads })),
    runPerl({
      address,
      statement: deletion(table),
      everyMs: EVERY_MS,
      signal,
      served: (ms) => perl.served(ms),
      failed: (error) => {
        perl.failed(error);
        options.failed(error);
      },
    }),
  ]);
  return { kinds: [reader, prepared, perl], ended };
}

/** One connection that wants the same thing again and again, and does not rest until it has it. */
async function ask(
  { address, signal, failed }: BesideOptions,
  kind: ClientKind,
  work: (session: Session) => Promise<unknown>,
): Promise<void> {
  let session: Session | undefined;
  const rest = (ms: number): Promise<void> => sleep(ms, undefined, { signal }).catch(() => undefined);
  while (!signal.aborted) {
    const wanted = performance.now();
    for (let served = false; !served && !signal.aborted;) {
      try {
        session ??= await Session.open(address);
        await work(session);
        kind.served(performance.now() - wanted);
        served = true;
      } catch (error) {
        kind.failed(errorKind(error));
        failed(errorKind(error));
        session?.destroy();
        session = undefined;
        await rest(AGAIN_MS);
      }
    }
    await rest(EVERY_MS);
  }
  await session?.close();
}
