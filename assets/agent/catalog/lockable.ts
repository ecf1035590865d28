import { ident, sql } from '../sql';

/** SQL for whether the table `c` is ours to drop triggers of, and to lock. */
export const IS_LOCKABLE = sql`
  pg_has_role(c.relowner, 'USAGE') AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')`;

/** A table, by quoted name, whose triggers are dropped. */
interface Table {
  readonly table: string;
  /** What `IS_LOCKABLE` says of it. */
  readonly isLockable: boolean;
}

/**
 * The statements that drop triggers of one table, to be sent as one transaction: DROP TRIGGER by itself holds a weak lock
 * while it waits for the strong one.
 */
export const dropTriggerStatements = ({ table, isLockable }: Table, triggers: readonly string[]): string[] => [
  ...(isLockable ? [`LOCK TABLE ONLY ${table} IN ACCESS EXCLUSIVE MODE`] : []),
  ...triggers.map((trigger) => `DROP TRIGGER IF EXISTS ${ident(trigger)} ON ${table}`),
];
