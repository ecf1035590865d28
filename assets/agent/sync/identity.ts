import type { Client } from 'pg';
import type { Context } from '../context';
import type { End } from '../endpoints';
import { sql } from '../sql';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import type { Ends } from './applier';
import { IDENTITY_FACT, type Problems } from './facts';
import { recopyUnlogged } from './unlogged';

/** Facts of each end as it was last seen. */
const SEEN_FACTS: Readonly<Record<End, string>> = { source: 'source.seen', target: 'target.seen' };

/** A process of the server's own, such as the checkpointer. A crash of any process ends them all. */
interface ServerProcess {
  readonly pid: number;
  /** When it began, seconds since 1970; null where the login may not see that. */
  readonly since: number | null;
}

/** Which server answers as an end, and how far it is. What its version or provider does not tell is null. */
export interface Identity {
  /** Given to a cluster when it is made; a copy of its files has the same. */
  readonly system: string | null;
  /** Raised by each promotion of a standby and each restore to a point in time. */
  readonly timeline: number | null;
  /** When the server started. */
  readonly started: string;
  /** Tell of a crash that the server itself has outlived. Absent in what an older version noted. */
  readonly processes?: readonly ServerProcess[];
  /** The next transaction id; it never goes back, but for a server that lost transactions. */
  readonly txid: string;
  /** How far the log of changes is written durably, which no crash takes back; bytes. */
  readonly wal: string | null;
  readonly isStandby: boolean;
}

/** What both ends were at one time. */
export type Identities = Readonly<Record<End, Identity>>;

const COMMON = sql`
  SELECT pg_postmaster_start_time()::text AS started, txid_snapshot_xmax(txid_current_snapshot())::text AS txid,
    pg_is_in_recovery() AS "isStandby",
    (SELECT coalesce(json_agg(json_build_object('pid', pid, 'since', extract(epoch FROM backend_start))), '[]')
      FROM pg_stat_activity WHERE datid IS NULL AND usesysid IS NULL) AS processes`;

const SYSTEM = 'SELECT system_identifier::text AS system FROM pg_control_system()';

const TIMELINE = 'SELECT timeline_id AS timeline FROM pg_control_checkpoint()';

/** Transactions that may be under way when a server crashes, and have left nothing durable: their numbers are given once more. */
const IN_FLIGHT = 10_000n;

const WAL = `SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::text AS wal WHERE NOT pg_is_in_recovery()`;

/** Asks the server who it is. Needs no more than a login; what a provider forbids is left out. */
export async function readIdentity(client: Client): Promise<Identity> {
  const optional = async <T>(query: string): Promise<Partial<T>> => {
    try {
      return ((await client.query(query)).rows[0] as T | undefined) ?? {};
    } catch {
      return {};
    }
  };
  const common = (await client.query(COMMON)).rows[0] as Pick<Identity, 'started' | 'txid' | 'isStandby' | 'processes'>;
  const { system = null } = await optional<{ system: string }>(SYSTEM);
  const { timeline = null } = await optional<{ timeline: number }>(TIMELINE);
  const { wal = null } = await optional<{ wal: string }>(WAL);
  return { system, timeline, wal, ...common };
}

/**
 * Whether the server has lost nothing of its memory between two looks. After a crash of one process the others are replaced,
 * unlogged tables are emptied and what is not written is lost, but the server still tells its earlier start.
 */
function isSameRun(before: Identity, now: Identity): boolean {
  if (before.started !== now.started) return false;
  const [known = [], listed = []] = [before.processes, now.processes];
  const isSame = (a: ServerProcess, b: ServerProcess): boolean =>
    a.pid === b.pid && (a.since === null || b.since === null || a.since === b.since);
  // A server that has just recovered may list none yet.
  return known.length === 0 || listed.length === 0 || known.some((a) => listed.some((b) => isSame(a, b)));
}

/** What happened to a source between two looks, in words; undefined when nothing did. */
export function jumpBetween(before: Identity, now: Identity): string | undefined {
  if (now.isStandby && !before.isStandby) return 'it is a standby now, so another server takes the writes';
  const differs = (name: 'system' | 'timeline'): boolean =>
    before[name] !== null && now[name] !== null && before[name] !== now[name];
  if (differs('system')) return `another server answers (system identifier ${before.system}, now ${now.system})`;
  if (differs('timeline')) return `it failed over or was restored (timeline ${before.timeline}, now ${now.timeline})`;
  const back = (a: string | null, b: string | null): boolean => a !== null && b !== null && BigInt(b) < BigInt(a);
  if (back(before.txid, now.txid)) return `it was restored (transaction id ${before.txid}, now ${now.txid})`;
  if (back(before.wal, now.wal)) return `it has lost a part of its log (${before.wal} bytes, now ${now.wal})`;
  if (before.started !== now.started) {
    return `it was started anew at ${now.started}; after a crash, transactions with asynchronous commit are lost`;
  }
  if (!isSameRun(before, now)) return 'it recovered from a crash: transactions with asynchronous commit are lost';
  return undefined;
}

/**
 * What happened to an end. What is applied is committed durably: a crash of the end that is fed loses none of it, but
 * numbers of transactions that had not ended are given once more, so that its log tells whether it lost any; where that is
 * hidden, as by Aurora without logical replication, many numbers do.
 */
export function jumpOf(end: End, before: Identity, now: Identity): string | undefined {
  if (end === 'source') return jumpBetween(before, now);
  const isHidden = before.wal === null || now.wal === null;
  const isFew = BigInt(before.txid) - BigInt(now.txid) < IN_FLIGHT;
  const { started, processes } = now;
  return jumpBetween({ ...before, txid: isHidden && !isFew ? before.txid : now.txid, started, processes }, now);
}

/** Looks at both ends; see `watchIdentity`. What a restart of the end that is fed may have emptied is copied anew. */
export const watchIdentities = async (context: Context, { source, target }: Ends): Promise<Identities> => ({
  source: await watchIdentity(context, source),
  target: await watchIdentity(context, target, 'target', () => recopyUnlogged(context, { source, target })),
});

/** To be called before rows are brought: from then on it is known whether the target was started anew. */
export async function noteTarget({ state }: Context, target: Client): Promise<void> {
  if (!(await state.fact<Identity | null>(SEEN_FACTS.target))) {
    await state.setFact(SEEN_FACTS.target, await readIdentity(target));
  }
}

/**
 * Looks whether the source is the server that it was, and has lost nothing that the target may already have. A jump
 * stands as a problem until a full verify that began after it has passed. Returns what is known now.
 *
 * @param end with `target`, whether that is the server that it was, and has lost nothing of what it was given. @default source
 * @param onRestart called when the server was started anew or recovered from a crash, before that is taken for known, and where
 * nobody can tell, since the host's memory is lost
 */
export async function watchIdentity(
  context: Context,
  client: Client,
  end: End = 'source',
  onRestart: () => Promise<void> = async () => undefined,
): Promise<Identity> {
  const before = await context.state.fact<Identity | null>(SEEN_FACTS[end]);
  const answer = await readIdentity(client);
  const listsNone = answer.processes?.length === 0 && before?.started === answer.started;
  const now = listsNone ? { ...answer, processes: before.processes } : answer;
  // It can be fed nothing: what became of it is seen on the server that takes its place.
  if (end === 'target' && now.isStandby) return now;
  const jump = before && jumpOf(end, before, now);
  if (before && jump !== undefined) {
    const [here, there] = [context.real('source'), context.real('target')];
    const [lost, forward] =
      end === 'source'
        ? [`the ${here} may have lost what the ${there} has`, 'start verify, which finds it, and then go on']
        : [`the ${there} may have lost what it was given`, 'start verify with Repair, which brings that again'];
    const wayOn = context.direction === 'forward' ? forward : 'all is compared again by itself: wait for that';
    const line = `${lost}: ${jump}; ${wayOn}`;
    const known = (await context.state.fact<Problems | null>(IDENTITY_FACT))?.problems ?? [];
    await context.state.setFact(IDENTITY_FACT, { problems: [...known, line].slice(-5) });
    await forgetComparisons(context);
    await context.evidence(`the ${end} is the same`, false, 'readIdentity', { before, now, jump });
    await context.state.count(`${end}.jumps`, 1);
  }
  if (before === undefined || (before && !isSameRun(before, now))) await onRestart();
  // The problem is written first: killed in between, the jump is seen and told once more.
  await context.state.setFact(SEEN_FACTS[end], now);
  return now;
}

/**
 * To be called on a new session with the target before its rows are compared: what a crash has emptied is to be copied
 * anew, and would be found different until the next look has said so.
 */
export async function noticeRestart(context: Context, target: Client): Promise<void> {
  const seen = await context.state.fact<Identity | null>(SEEN_FACTS.target);
  if (!seen || isSameRun(seen, await readIdentity(target))) return;
  await context.with('source', (source) => watchIdentities(context, { source, target }));
}

/**
 * To be called when changes are about to go the other way, or do by now: what was known for that way is too old. The end that
 * is fed then is what it was when last looked at as the source, so that no crash since goes unnoticed.
 *
 * @param context of the way that changes went until then
 */
export async function turnIdentity(context: Context): Promise<void> {
  const left = await context.state.fact<Identity | null>(SEEN_FACTS.source);
  const { state } = context.turned();
  await state.setFact(SEEN_FACTS.target, left ?? null);
  await state.setFact(SEEN_FACTS.source, null);
  await state.setFact(IDENTITY_FACT, null);
}

/** What was found equal with transactions that the source has lost since is not known to be equal any more. */
async function forgetComparisons(context: Context): Promise<void> {
  const dirty = await DirtyKeys.open(context);
  await dirty.forgetAll().finally(() => dirty.close());
}

/** To be called when a full verify has passed: what happened before it began can have done no harm. */
export async function clearIdentity(context: Context, ends: Ends, atStart: Identities): Promise<void> {
  for (const end of ['source', 'target'] as const) {
    if (jumpOf(end, atStart[end], await readIdentity(ends[end])) !== undefined) return;
  }
  if (await context.state.fact<Problems | null>(IDENTITY_FACT)) {
    await context.evidence('both ends are the same', true, 'a full verify passed after the jump', atStart);
  }
  await context.state.setFact(IDENTITY_FACT, null);
}
