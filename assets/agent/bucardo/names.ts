/** Name of the first sync, of the relgroup with its relations, and beginning of the names of the others. */
export const SYNC = 'ibex';

/** Names of the syncs: `ibex`, `ibex2`, `ibex3` … */
export const syncNames = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => (index === 0 ? SYNC : `${SYNC}${index + 1}`));

/** Most syncs that settings may ask for: each is a process, a core and four connections. */
export const MOST_SYNCS = 8;

/** Names of both ends in Bucardo's configuration. */
export const SOURCE = 'ibex_source';
export const TARGET = 'ibex_target';

/**
 * What Bucardo writes into the column `target` of its track tables for our group of databases. All syncs have the same
 * one: a relation is in one of them only, and may be in another after a restart.
 */
export const DBGROUP = 'dbgroup ibex';

/** Login of Bucardo on the target, so that it can be shut out alone. Never `bucardo`: it then tries to become superuser. */
export const BUCARDO_LOGIN = 'ibex_bucardo';

/** Trigger that Bucardo looks for on TRUNCATE, for each sync another; ours stand under these names. */
export const truncateTrigger = (sync: string): string => `bucardo_note_trunc_${sync}`;

/** The one of the first sync, which every captured relation has. */
export const TRUNCATE_TRIGGER = truncateTrigger(SYNC);

/** Name of Bucardo's own database on the host, and of the superuser there that it connects as. */
export const BUCARDO_DATABASE = 'bucardo';
export const BUCARDO_SUPERUSER = 'bucardo';
