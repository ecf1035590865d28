import type { Table } from './catalog';
import type { Choice } from './choice';
import type { Session } from './session';
import type { Transaction } from './transaction';

type Counts = Map<string, { updated: number; deleted: number }>;

/**
 * Finds tables whose rows were updated or deleted by triggers or cascades of writes to other tables, on the server's own
 * statistics. Their rows have other writers than the ledger knows, so less can be judged. The server adds up several
 * transactions before it reports them, hence two readings within one transaction.
 */
export class TriggerWatch {
  private constructor(readonly before: Counts) {}

  /** To be called after BEGIN. */
  static async start(session: Session): Promise<TriggerWatch> {
    return new TriggerWatch(await readCounts(session));
  }

  /** To be called before COMMIT. */
  async changedByOthers(tx: Transaction, choice: Choice): Promise<{ table: Table; by: 'presence' | 'nothing' }[]> {
    const after = await readCounts(tx.session);
    const written = tx.triedTables;
    return [...after].flatMap(([name, { updated, deleted }]): { table: Table; by: 'presence' | 'nothing' }[] => {
      const table = choice.byName(name);
      if (!table || written.has(table)) return [];
      const before = this.before.get(name) ?? { updated: 0, deleted: 0 };
      if (deleted > before.deleted) return [{ table, by: 'nothing' }];
      return updated > before.updated ? [{ table, by: 'presence' }] : [];
    });
  }
}

/** By name, since the same address leads to another database with other object ids after the cutover. */
async function readCounts(session: Session): Promise<Counts> {
  const { rows } = await session.query<{ schema: string; name: string; updated: number; deleted: number }>(
    `SELECT schemaname AS schema, relname AS name, n_tup_upd::int4 AS updated, n_tup_del::int4 AS deleted
      FROM pg_catalog.pg_stat_xact_user_tables WHERE n_tup_upd + n_tup_del > 0`,
  );
  return new Map(rows.map(({ schema, name, ...counts }) => [`${schema}.${name}`, counts]));
}
