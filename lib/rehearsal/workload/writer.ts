import { setTimeout as sleep } from 'node:timers/promises';
import type { Table } from './catalog';
import type { Choice } from './choice';
import { OwnedKeys } from './keys';
import type { Ledger } from './ledger';
import type { Pace } from './pace';
import type { Pauses } from './pauses';
import type { Pgbench } from './pgbench';
import { errorKind, isRefusal, isVerdict, Session, type Address } from './session';
import type { Statistics } from './statistics';
import { judgeTriggers } from './probe';
import { Transaction } from './transaction';
import { TriggerWatch } from './triggers';

/** What the writers of a workload have in common. */
export interface Shared {
  address: Address;
  writers: number;
  ledger: Ledger;
  pace: Pace;
  pauses: Pauses;
  statistics: Statistics;
  choice: Choice;
  pgbench: Pgbench | undefined;
  /** Ends the workload. */
  signal: AbortSignal;
  unique: () => number;
}

/** Thrown to roll back on purpose, as applications do. */
class ChangedMind extends Error {}

const rolledBackShare = 0.04;
const savepointShare = 0.06;
const triggerCheckShare = 0.1;
const longestBackOffMs = 250;

/** One connection of the application: writes at the common pace, and after any error comes back and goes on. */
export class Writer {
  #session: Session | undefined;
  #backOffMs = 0;
  readonly #keys = new Map<Table, OwnedKeys>();

  constructor(
    readonly index: number,
    readonly shared: Shared,
  ) {}

  keysOf(table: Table): OwnedKeys {
    let keys = this.#keys.get(table);
    if (!keys) this.#keys.set(table, (keys = new OwnedKeys()));
    return keys;
  }

  /** Runs until the workload is stopped; never throws for what a server or network does. */
  async run(): Promise<void> {
    const { pace, pauses, signal } = this.shared;
    while (!signal.aborted) {
      await pace.take(signal);
      if (signal.aborted) break;
      pauses.wanted();
      const wanted = performance.now();
      let acknowledged = false;
      while (!acknowledged && !signal.aborted) acknowledged = await this.#attempt();
      if (acknowledged) {
        pauses.acknowledged();
        this.shared.statistics.writers.served(performance.now() - wanted);
      } else pauses.gaveUp();
    }
    await this.#session?.close();
  }

  /** One try at one transaction; waits after a failure. @returns whether a write was acknowledged. */
  async #attempt(): Promise<boolean> {
    const startedAt = performance.now();
    let tx: Transaction | undefined;
    try {
      this.#session ??= await Session.open(this.shared.address);
      tx = new Transaction(this.#session);
      await tx.begin();
      const watch = Math.random() < triggerCheckShare ? await TriggerWatch.start(this.#session) : undefined;
      await this.#work(tx);
      if (tx.size === 0) {
        await this.#session.rollback();
        await this.#waitALittle(false);
        return false;
      }
      return await this.#commit(tx, startedAt, watch);
    } catch (error) {
      await this.#failed(error, tx);
      return false;
    }
  }

  async #work(tx: Transaction): Promise<void> {
    const { pgbench, writers } = this.shared;
    if (pgbench && (Math.random() < 0.5 || !this.shared.choice.pick((table) => this.keysOf(table)))) {
      await pgbench.run(tx, this.index, writers);
    }
    if (tx.size === 0 || Math.random() < 0.1) {
      const size = tx.size + 1 + Math.floor(Math.random() * 3);
      for (let tries = 0; tries < 8 && tx.size < size; tries++) await this.#operate(tx);
    }
    if (tx.size > 0 && Math.random() < savepointShare) await this.#changeMindInPart(tx);
    if (tx.size > 0 && Math.random() < rolledBackShare) throw new ChangedMind();
  }

  async #operate(tx: Transaction): Promise<void> {
    const { choice, unique } = this.shared;
    const candidate = choice.pick((table) => this.keysOf(table));
    if (!candidate) return;
    const { table, operation, report } = candidate;
    const risky = choice.isRisky(candidate);
    const run = (): Promise<boolean> => operation.run(tx, { table, keys: this.keysOf(table), unique });
    try {
      if (await (risky ? tx.nested(run) : run())) report.done += 1;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      choice.refused(candidate, `${error.code}: ${error.message}`);
      if (!risky) throw error;
    }
  }

  async #changeMindInPart(tx: Transaction): Promise<void> {
    const work = async (): Promise<never> => {
      await this.#operate(tx);
      throw new ChangedMind();
    };
    await tx.nested(work).catch((error: unknown) => {
      if (!(error instanceof ChangedMind)) throw error;
    });
  }

  async #commit(tx: Transaction, startedAt: number, watch: TriggerWatch | undefined): Promise<boolean> {
    const { ledger, statistics } = this.shared;
    const writes = await tx.settle();
    if (watch) await judgeTriggers(watch, tx, this.shared.choice, ledger);
    const x = ledger.intend(writes, tx.counters);
    let committed: boolean;
    try {
      committed = await tx.session.commit();
    } catch (error) {
      if (isVerdict(error)) ledger.settle(x, 'failed');
      else {
        ledger.settle(x, 'unknown');
        statistics.unknownTransactions += 1;
        for (const { table, key } of tx.structural) this.keysOf(table).remove(key);
      }
      await this.#failed(error, undefined, isVerdict(error));
      return false;
    }
    ledger.settle(x, committed ? 'acknowledged' : 'failed');
    if (!committed) {
      statistics.failedTransactions += 1;
      return false;
    }
    tx.committed();
    this.#backOffMs = 0;
    const kept = writes.filter(([, , kind]) => kind !== 'observed').length + tx.counters.length;
    statistics.acknowledged(kept, performance.now() - startedAt);
    return true;
  }

  /** @param counts whether the failure is that of a transaction that surely did not commit. */
  async #failed(error: unknown, tx: Transaction | undefined, counts = tx !== undefined): Promise<void> {
    const { ledger, statistics } = this.shared;
    const undone = tx?.undone() ?? [];
    if (undone.length > 0) ledger.append({ t: 'observed', w: undone });
    if (error instanceof ChangedMind) statistics.rolledBackTransactions += 1;
    else if (counts) statistics.failedTransactions += 1;
    if (!(error instanceof ChangedMind) && !isRefusal(error)) {
      statistics.clientError(errorKind(error));
      this.shared.statistics.writers.failed(errorKind(error));
    }
    const goesOn = error instanceof ChangedMind || (isVerdict(error) && error.code !== '25006');
    const rolledBack = goesOn && (await this.#session?.rollback());
    if (!rolledBack) {
      this.#session?.destroy();
      this.#session = undefined;
    }
    if (!(error instanceof ChangedMind)) await this.#waitALittle(!rolledBack);
  }

  async #waitALittle(lost: boolean): Promise<void> {
    this.#backOffMs = Math.min(longestBackOffMs, lost ? this.#backOffMs * 2 + 10 : this.#backOffMs + 10);
    const { signal } = this.shared;
    await sleep(this.#backOffMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }
}
