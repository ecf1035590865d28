/** Name of the sync, and of the relgroup with its relations. */
export const SYNC = 'ibex';

/** Names of both ends in Bucardo's configuration. */
export const SOURCE = 'ibex_source';
export const TARGET = 'ibex_target';

/** What Bucardo writes into the column `target` of its track tables for our group of databases. */
export const DBGROUP = 'dbgroup ibex';

/** Login of Bucardo on the target, so that it can be shut out alone. Never `bucardo`: it then tries to become superuser. */
export const BUCARDO_LOGIN = 'ibex_bucardo';

/** Trigger that Bucardo looks for on TRUNCATE; ours stands under this name. */
export const TRUNCATE_TRIGGER = `bucardo_note_trunc_${SYNC}`;

/** Name of Bucardo's own database on the host, and of the superuser there that it connects as. */
export const BUCARDO_DATABASE = 'bucardo';
export const BUCARDO_SUPERUSER = 'bucardo';
