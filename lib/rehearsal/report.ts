import type { ClientsSaw } from '../../assets/agent/cutover/clients-saw';
import type { WatchRecord } from '../../assets/agent/watch/record';
import { phasesOf } from '../phases';
import type { Evidence } from './html/evidence-table';
import type { WritersResult } from './rehearsal';

/** The part of the host program's evidence that a rehearsal looks at. */
export interface AgentReport {
  readonly versions: { readonly source: string | null; readonly target: string | null };
  readonly phases: readonly PhaseReport[];
  readonly rows: { readonly copy: number; readonly catchUp: number; readonly bucardo: number };
  readonly bucardoRestarts: number;
  /** The newest of either direction. */
  readonly cutover?: MoveReport;
  readonly rollback?: MoveReport;
  /** The watch over the target after the newest cutover. */
  readonly watch?: WatchRecord | null;
  readonly evidence: readonly Evidence[];
}

/** How writes were moved from one end to the other. */
export interface MoveReport {
  readonly pauseMs: number;
  readonly steps: readonly { readonly step: string; readonly startMs: number; readonly ms: number }[];
  readonly clientsSaw?: ClientsSaw;
  readonly freeze?: {
    readonly rowsCompared: number;
    readonly rowsDifferent: number;
    readonly seconds: number;
    /** Whether every relation could be compared. */
    readonly complete: boolean;
    /** Those that could not, by quoted name. */
    readonly notCompared: readonly { readonly relation: string; readonly cause: string }[];
  };
}

/** How a phase went. */
export interface PhaseReport {
  readonly name: string;
  readonly status: string;
  readonly seconds: number | null;
  readonly message: string;
}

/** What `report.json` holds: the figures first, then the verdict, then what both stand on. */
export interface RehearsalReport {
  readonly acknowledgedWrites: number;
  readonly lostWrites: number;
  readonly rowsDifferent: number;
  readonly rowsCompared: number;
  /** Longest time without any acknowledged write since the cutover began, as the writers saw it. */
  readonly writePauseMs: number;
  readonly clientErrors: number;
  readonly phases: readonly PhaseReport[];
  readonly passed: boolean;
  /** Why it did not pass; empty when it did. */
  readonly reasons: readonly string[];
  /** Time of the comparison at the freeze, which is no part of the write pause. */
  readonly compareSeconds: number;
  readonly rows: AgentReport['rows'];
  readonly versions: AgentReport['versions'];
  readonly seconds: number;
  readonly writers: WritersResult | undefined;
  readonly agent: AgentReport | undefined;
}

/** What a verdict is drawn from. */
export interface RehearsalOutcome {
  readonly agent: AgentReport | undefined;
  readonly writers: WritersResult | undefined;
  readonly seconds: number;
  /** What went wrong around it: the runbook, the evidence, the writers. @default none */
  readonly failures?: readonly string[];
  /** Whether writes were to be moved there, back, and there again. @default only there */
  readonly rollback?: boolean;
  /** Writes that were acknowledged once the runbook had ended, on the target. @default not looked at */
  readonly writesAfterEnd?: number;
}

/** Draws the verdict: passed only if every phase succeeded, nothing was lost, every row is equal and all three ways applied rows. */
export function concludeRehearsal(outcome: RehearsalOutcome): RehearsalReport {
  const { agent, writers, seconds } = outcome;
  const freeze = agent?.cutover?.freeze;
  const reasons = [
    ...(outcome.failures ?? []),
    ...reasonsOfPhases(agent),
    ...reasonsOfWriters(outcome),
    ...reasonsOfRows(agent),
    ...(outcome.rollback ? reasonsOfRollback(agent) : []),
  ];
  return {
    acknowledgedWrites: writers?.verdict.acknowledgedWrites ?? 0,
    lostWrites: writers?.verdict.lostWrites ?? 0,
    rowsDifferent: freeze?.rowsDifferent ?? 0,
    rowsCompared: freeze?.rowsCompared ?? 0,
    writePauseMs: Math.round(writers?.pause.longestMs ?? 0),
    clientErrors: writers?.statistics.clientErrors ?? 0,
    phases: agent?.phases ?? [],
    passed: reasons.length === 0,
    reasons,
    compareSeconds: freeze?.seconds ?? 0,
    rows: agent?.rows ?? { copy: 0, catchUp: 0, bucardo: 0 },
    versions: agent?.versions ?? { source: null, target: null },
    seconds,
    writers,
    agent,
  };
}

function reasonsOfPhases(agent: AgentReport | undefined): string[] {
  if (!agent) return ['the host program gave no evidence'];
  const status = (name: string): PhaseReport | undefined => agent.phases.find((phase) => phase.name === name);
  const expected = phasesOf(status('copy') ? 'stream' : 'dump');
  const ended = expected.flatMap((name) => {
    const phase = status(name);
    return phase && phase.status !== 'succeeded' ? [`phase ${name} ${phase.status}: ${phase.message}`] : [];
  });
  const missing = expected.filter((name) => !status(name));
  return missing.length === 0 ? ended : [...ended, `never ran: ${missing.join(', ')}`];
}

function reasonsOfWriters({ writers, writesAfterEnd }: RehearsalOutcome): string[] {
  if (!writers) return ['the writers were not judged'];
  const { acknowledgedWrites, lostWrites, examples } = writers.verdict;
  const reasons: string[] = [];
  if (acknowledgedWrites === 0) reasons.push('no write was ever acknowledged');
  if (writesAfterEnd === 0) reasons.push('no write was acknowledged after the migration');
  if (lostWrites > 0) {
    const [first] = examples;
    const example = first
      ? `, for example ${first.table} ${first.key}: expected ${first.expected}, found ${first.found}`
      : '';
    reasons.push(`${lostWrites} acknowledged writes are lost${example}`);
  }
  return reasons;
}

/** Gate of the comparison of every row as it stood in a pause. */
const COMPARED = 'every row equal at the freeze';

/** Both ends must have been alike three times: at the cutover, at the rollback, and at the second cutover. */
function reasonsOfRollback(agent: AgentReport | undefined): string[] {
  if (!agent) return [];
  if (!agent.rollback) return ['writes were never moved back'];
  const alike = agent.evidence.filter(({ gate, passed }) => gate === COMPARED && passed).length;
  const freeze = agent.rollback.freeze;
  return [
    ...(freeze && freeze.rowsDifferent > 0 ? [`${freeze.rowsDifferent} rows differ at the rollback`] : []),
    ...(alike < 3 ? [`every row was equal at ${alike} of 3 moves of writes`] : []),
  ];
}

function reasonsOfRows(agent: AgentReport | undefined): string[] {
  if (!agent) return [];
  const freeze = agent.cutover?.freeze;
  const reasons: string[] = [];
  if (!freeze) reasons.push('rows were not compared at the freeze');
  else if (freeze.rowsCompared === 0) reasons.push('no row was there to compare at the freeze');
  else if (!freeze.complete) reasons.push('not every relation could be compared at the freeze');
  if (freeze && freeze.rowsDifferent > 0) reasons.push(`${freeze.rowsDifferent} rows differ`);
  const ways = { copy: 'copy', catchUp: 'catch-up', bucardo: 'Bucardo' } as const;
  for (const way of ['copy', 'catchUp', 'bucardo'] as const) {
    if (agent.rows[way] === 0) reasons.push(`no row was applied by ${ways[way]}`);
  }
  return reasons;
}
