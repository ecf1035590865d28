import type { RehearsalReport } from '../report';
import { count, duration, type Styles, wrap } from './text';

/** Names of one kind that are listed; the rest is in report.json. */
const NAMED = 12;
const LABEL = 14;

/** The end of a rehearsal on one screen. @param width columns @param file of the report, if it was written */
export function renderSummary(report: RehearsalReport, styles: Styles, width: number, file?: string): string[] {
  const field = (label: string, text: string): string[] =>
    wrap(text, width - LABEL).map((line, index) => `${styles.faint((index === 0 ? label : '').padEnd(LABEL))}${line}`);
  const list = (label: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : field(label, firstOf(names));
  return [
    '',
    ...phaseLines(report, styles),
    ...field('writes', writes(report)),
    ...field('rows', rows(report)),
    ...field('applied', applied(report)),
    ...field('write pause', pause(report)),
    ...list('rollback', rollback(report)),
    ...field('clients', clients(report)),
    ...list('waited', waits(report)),
    ...list('not written', unwritable(report)),
    ...list('judged less', limited(report)),
    ...field('versions', `PostgreSQL ${report.versions.source ?? 'unknown'} to ${report.versions.target ?? 'unknown'}`),
    ...(file === undefined ? [] : field('report', file)),
    '',
    ...verdict(report, styles, width),
  ];
}

/** Three phases a line: mark, name, seconds. */
function phaseLines({ phases, seconds }: RehearsalReport, styles: Styles): string[] {
  const cells = phases.map(({ name, status, seconds: took }) => {
    const mark = status === 'succeeded' ? styles.good('✓') : styles.bad('✗');
    const time = took === null ? '-' : duration(took);
    const word = status === 'succeeded' || status === 'failed' ? '' : ` ${status}`;
    return `${mark} ${name.padEnd(8)}${time.padStart(8)}${word}`;
  });
  const lines: string[] = [];
  for (let at = 0; at < cells.length; at += 3) {
    const label = at === 0 ? 'phases' : '';
    lines.push(`${styles.faint(label.padEnd(LABEL))}${cells.slice(at, at + 3).join('   ')}`.trimEnd());
  }
  return [...lines, `${styles.faint('in all'.padEnd(LABEL))}${duration(seconds)}`];
}

function writes({ acknowledgedWrites, lostWrites, writers }: RehearsalReport): string {
  const unknown = writers?.verdict.unknownWrites ?? 0;
  const answered = unknown > 0 ? `; ${count(unknown)} without an answer, right either way` : '';
  return `${count(acknowledgedWrites)} acknowledged, ${count(lostWrites)} lost${answered}`;
}

function rows({ rowsCompared, rowsDifferent, compareSeconds }: RehearsalReport): string {
  return `${count(rowsCompared)} compared as they stood in the pause, ${count(rowsDifferent)} different; the comparison took ${duration(compareSeconds)} and was no part of the pause`;
}

const applied = ({ rows }: RehearsalReport): string =>
  `${count(rows.copy)} by copy, ${count(rows.catchUp)} by catch-up, ${count(rows.bucardo)} by Bucardo`;

function pause({ writePauseMs, agent }: RehearsalReport): string {
  const seen = `${count(writePauseMs)} ms as the writers saw it`;
  const cutover = agent?.cutover;
  if (!cutover) return seen;
  const steps = cutover.steps.map(({ step, ms }) => `${step} ${count(ms)}`).join(', ');
  return `${seen}; ${count(cutover.pauseMs)} ms as the host saw it: ${steps}`;
}

/** What the way back came to, where it was gone. */
function rollback({ agent }: RehearsalReport): string[] {
  if (!agent?.rollback) return [];
  const { pauseMs, freeze } = agent.rollback;
  const compared = freeze
    ? `${count(freeze.rowsCompared)} rows compared, ${count(freeze.rowsDifferent)} different`
    : 'rows were not compared';
  return [`writes were moved back in ${count(pauseMs)} ms as the host saw it; ${compared}; then to the target again`];
}

function clients({ clientErrors, writers }: RehearsalReport): string {
  if (!writers) return 'not known';
  const { clientErrorsBy, latencyMs } = writers.statistics;
  const kinds = Object.entries(clientErrorsBy)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, times]) => `${kind} ${count(times)}`);
  const errors = `${count(clientErrors)} errors${kinds.length > 0 ? ` (${kinds.join(', ')})` : ''}`;
  return `${errors}; a transaction took ${latencyMs.p50.toFixed(1)} ms, 1 in 100 over ${latencyMs.p99.toFixed(1)} ms`;
}

/** The longest wait of each kind of client since the cutover began. */
const waits = ({ writers }: RehearsalReport): string[] =>
  (writers?.statistics.clients ?? []).map(({ kind, longestWaitMs }) => `${kind} ${count(longestWaitMs)} ms`);

const unwritable = ({ writers }: RehearsalReport): string[] =>
  (writers?.tables ?? []).flatMap(({ table, unwritable }) =>
    unwritable === undefined ? [] : [`${table} (${unwritable})`],
  );

const limited = ({ writers }: RehearsalReport): string[] =>
  (writers?.verdict.limited ?? []).map(({ table, by }) => `${table} (by ${by})`);

function firstOf(names: readonly string[]): string {
  const rest = names.length - NAMED;
  return [...names.slice(0, NAMED), ...(rest > 0 ? [`and ${rest} more`] : [])].join(', ');
}

function verdict({ passed, reasons }: RehearsalReport, styles: Styles, width: number): string[] {
  if (passed) return [`${styles.good(styles.strong('PASSED'))}: nothing was lost, and every row is the same`];
  return [
    `${styles.bad(styles.strong('FAILED'))}:`,
    ...reasons.flatMap((reason) =>
      wrap(reason, width - 4).map((line, index) => `${index === 0 ? '  - ' : '    '}${line}`),
    ),
  ];
}
