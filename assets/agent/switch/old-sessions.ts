import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';

/** How often the end that was left is looked at; milliseconds. */
const POLL_MS = 1_000;

/** Sessions of one kind of client. */
export interface SessionsOf {
  readonly user: string;
  /** `application_name`; empty where the client gives none. */
  readonly application: string;
  readonly sessions: number;
}

/** What was done about the sessions of the end that was left. */
export interface OldSessions {
  readonly ended: number;
  /** Those that our login may not end. */
  readonly refused: number;
  /** Whose were ended. */
  readonly by: readonly SessionsOf[];
}

/** Adds up what is of one kind. */
export function addUp(some: readonly SessionsOf[]): SessionsOf[] {
  const kinds = new Map<string, SessionsOf>();
  for (const { user, application, sessions } of some) {
    const kind = JSON.stringify([user, application]);
    kinds.set(kind, { user, application, sessions: sessions + (kinds.get(kind)?.sessions ?? 0) });
  }
  return [...kinds.values()];
}

/**
 * Every session of a client in this database, but ours; who may not see what a session is may not end it either, and
 * counts it. Each by itself: a login may end those of roles that it belongs
 * to, and one refusal must not keep the others.
 */
const SESSIONS = `
  SELECT pid, coalesce(usename, 'unknown') AS user, coalesce(application_name, '') AS application
  FROM pg_catalog.pg_stat_activity
  WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()
    AND coalesce(application_name, '') !~ '^(ibex|bucardo)'`;

/** Ends the sessions of clients, once. */
export async function endSessions(client: Client): Promise<OldSessions> {
  const { rows } = await client.query<{ pid: number; user: string; application: string }>(SESSIONS);
  const ended: SessionsOf[] = [];
  let refused = 0;
  for (const { pid, user, application } of rows) {
    try {
      await client.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid]);
      ended.push({ user, application, sessions: 1 });
    } catch {
      refused += 1;
    }
  }
  return { ended: ended.length, refused, by: addUp(ended) };
}

/**
 * Ends them again and again for so long: until the change of address is known everywhere, clients come back to the end
 * that was left, where they would get errors for as long as their connections live.
 */
export async function endSessionsFor(client: Client, ms: number, signal: AbortSignal): Promise<OldSessions> {
  const end = performance.now() + ms;
  let ended = 0;
  let by: readonly SessionsOf[] = [];
  for (;;) {
    const now = await endSessions(client);
    ended += now.ended;
    by = addUp([...by, ...now.by]);
    if (signal.aborted || performance.now() >= end) return { ended, refused: now.refused, by };
    await sleep(Math.min(POLL_MS, Math.max(0, end - performance.now())), undefined, { signal }).catch(() => undefined);
  }
}
