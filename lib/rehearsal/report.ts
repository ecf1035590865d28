import type { WritersResult } from './rehearsal';

/** The part of the host program's evidence that a rehearsal looks at. */
export interface AgentReport {
  readonly versions: { readonly source: string | null; readonly target: string | null };
  readonly phases: readonly PhaseReport[];
  readonly rows: { readonly copy: number; readonly catchUp: number; readonly bucardo: number };
  readonly bucardoRestarts: number;
  readonly cutover?: {
    readonly pauseMs: number;
    readonly steps: readonly { readonly step: string; readonly startMs: number; readonly ms: number }[];
    readonly freeze?: { readonly rowsCompared: number; readonly rowsDifferent: number; readonly seconds: number };
  };
  readonly evidence: readonly unknown[];
}

/** How a phase went. */
export interface PhaseReport {
  readonly name: string;
  readonly status: string;
  readonly seconds: number | null;
  readonly message: string;
}

/** What `report.json` holds: the verdict first, then what it stands on. */
export interface RehearsalReport {
  readonly passed: boolean;
  /** Why it did not pass; empty when it did. */
  readonly reasons: readonly string[];
  readonly acknowledgedWrites: number;
  readonly lostWrites: number;
  readonly rowsCompared: number;
  readonly rowsDifferent: number;
  /** Time of the comparison at the freeze, which is no part of the write pause. */
  readonly compareSeconds: number;
  /** Longest time without any acknowledged write since the cutover began, as the writers saw it. */
  readonly writePauseMs: number;
  readonly clientErrors: number;
  readonly rows: AgentReport['rows'];
  readonly phases: readonly PhaseReport[];
  readonly versions: AgentReport['versions'];
  readonly seconds: number;
  readonly writers: WritersResult | undefined;
  readonly agent: AgentReport | undefined;
}

/** Phases that a complete migration has. */
const PHASES = ['assess', 'schema', 'capture', 'dump', 'restore', 'sync', 'verify', 'cutover', 'cleanup'];

/** Draws the verdict: passed only if every phase succeeded, nothing was lost, every row is equal and all three ways applied rows. */
export function concludeRehearsal(input: {
  readonly agent: AgentReport | undefined;
  readonly writers: WritersResult | undefined;
  readonly seconds: number;
  /** Why the runbook failed, if it did. */
  readonly failure?: string;
}): RehearsalReport {
  const { agent, writers, seconds } = input;
  const freeze = agent?.cutover?.freeze;
  const report = {
    acknowledgedWrites: writers?.verdict.acknowledgedWrites ?? 0,
    lostWrites: writers?.verdict.lostWrites ?? 0,
    rowsCompared: freeze?.rowsCompared ?? 0,
    rowsDifferent: freeze?.rowsDifferent ?? 0,
    compareSeconds: freeze?.seconds ?? 0,
    writePauseMs: Math.round(writers?.pause.longestMs ?? 0),
    clientErrors: writers?.statistics.clientErrors ?? 0,
    rows: agent?.rows ?? { copy: 0, catchUp: 0, bucardo: 0 },
    phases: agent?.phases ?? [],
    versions: agent?.versions ?? { source: null, target: null },
  };
  const reasons = reasonsAgainst(report, input);
  return { passed: reasons.length === 0, reasons, ...report, seconds, writers, agent };
}

function reasonsAgainst(
  report: Omit<RehearsalReport, 'passed' | 'reasons' | 'seconds' | 'writers' | 'agent'>,
  { agent, writers, failure }: Parameters<typeof concludeRehearsal>[0],
): string[] {
  const reasons: string[] = [];
  if (failure !== undefined) reasons.push(failure);
  for (const name of PHASES) {
    const phase = report.phases.find((candidate) => candidate.name === name);
    if (phase?.status !== 'succeeded')
      reasons.push(`phase ${name} ${phase ? `${phase.status}: ${phase.message}` : 'never ran'}`);
  }
  if (!writers) reasons.push('the writers were not judged');
  if (report.lostWrites > 0) reasons.push(`${report.lostWrites} acknowledged writes are lost`);
  if (report.rowsDifferent > 0) reasons.push(`${report.rowsDifferent} rows differ`);
  if (agent?.cutover?.freeze === undefined) reasons.push('rows were not compared at the freeze');
  for (const [way, rows] of Object.entries(report.rows)) {
    if (rows === 0) reasons.push(`no row was applied by ${way === 'catchUp' ? 'catch-up' : way}`);
  }
  return reasons;
}
