import type { Choice } from './choice';
import type { OwnedKeys } from './keys';
import type { Ledger } from './ledger';
import type { Table } from './catalog';
import { isRefusal, type Session } from './session';
import { Transaction } from './transaction';
import { TriggerWatch } from './triggers';

const triesEach = 3;

/**
 * Tries every operation once before the writers start, and rolls it back: what the database refuses is known early, and
 * so are the tables whose rows change by triggers and cascades of others, of which the ledger can tell less.
 * @param budgetMs time after which the rest is left to the writers, who keep watching.
 */
export async function probe(
  session: Session,
  choice: Choice,
  ledger: Ledger,
  keysOf: (table: Table) => OwnedKeys,
  unique: () => number,
  budgetMs: number,
): Promise<void> {
  const deadline = performance.now() + budgetMs;
  for (const candidate of choice.candidates()) {
    const { table, operation } = candidate;
    for (let done = false, tries = 0; !done && tries < triesEach; tries++) {
      if (performance.now() > deadline) return;
      const tx = new Transaction(session);
      await tx.begin();
      try {
        const watch = await TriggerWatch.start(session);
        done = await operation.run(tx, { table, keys: keysOf(table), unique });
        await session.query('SET CONSTRAINTS ALL IMMEDIATE');
        await judgeTriggers(watch, tx, choice, ledger);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        choice.refused(candidate, `${error.code}: ${error.message}`);
      } finally {
        await session.rollback();
      }
    }
  }
}

/** Tells the ledger of tables that changed by the transaction without being written by it. */
export async function judgeTriggers(
  watch: TriggerWatch,
  tx: Transaction,
  choice: Choice,
  ledger: Ledger,
): Promise<void> {
  for (const { table, by } of await watch.changedByOthers(tx, choice)) {
    if (choice.judge(table, by)) ledger.append({ t: 'judge', table: table.id, by });
  }
}
