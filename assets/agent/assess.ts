import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { activityChecks } from './assess/activity';
import { bypassChecks } from './assess/bypass';
import type { Check, Ends, Finding } from './assess/check';
import { copyWayChecks } from './assess/copy-way';
import { hostChecks } from './assess/host';
import { lockChecks } from './assess/locks';
import { loginChecks } from './assess/login';
import { rowRuleChecks } from './assess/row-rules';
import { rowSecurityChecks } from './assess/row-security';
import { refusalOfDeclared, serverChecks } from './assess/servers';
import { tableChecks } from './assess/tables';
import { targetChecks } from './assess/target';
import { readRelations, serverVersion, type Relation } from './catalog/relations';
import type { Context } from './context';
import { size } from './dump/disk';
import type { End } from './endpoints';
import { Failure, oneLine } from './errors';
import { ensureMigratorLogin } from './migrator-login';
import type { Phase, PhaseOutcome } from './phase';

/** Looks at both ends, and names all that stands in the way; changes nothing but that it makes our login if it may. */
export const assess: Phase = { name: 'assess', after: [], once: false, run: assessEnds };

/** All that is asked, in the order of the report. */
export const CHECKS: readonly Check[] = [
  ...serverChecks,
  ...lockChecks,
  ...loginChecks,
  ...rowSecurityChecks,
  ...targetChecks,
  ...tableChecks,
  ...rowRuleChecks,
  ...bypassChecks,
  ...activityChecks,
  ...hostChecks,
  ...copyWayChecks,
];

/** What assess found: a file beside the state, a fact in the state, and the phase's result. */
export interface Assessment {
  readonly refusals: readonly string[];
  readonly warnings: readonly string[];
  readonly tables: number;
  /** Size of all tables without indexes; bytes. */
  readonly bytes: number;
  /** The planner's estimate. */
  readonly rows: number;
  /** server_version_num, such as 110022. */
  readonly sourceVersion: number;
  readonly targetVersion: number;
}

/** Longest status line; Systems Manager cuts a command's output at 2,500 characters. */
const LONGEST_LINE = 2000;

async function assessEnds(context: Context): Promise<PhaseOutcome> {
  const found = await takeAssessment(context);
  const { stateDirectory } = context.config.host;
  const file = join(stateDirectory, 'assess.json');
  writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
  await context.state.setFact('assess', found);
  for (const text of found.refusals) context.log.error(text);
  for (const text of found.warnings) context.log.warn(text);
  const { tables, bytes, rows, refusals, warnings } = found;
  const figures = `${tables} tables, ${size(bytes)}, about ${Math.round(rows)} rows`;
  if (refusals.length > 0) throw new Failure(refusalLine(refusals, `${figures}; all in ${file}`));
  return {
    message: `${figures}; nothing in the way, ${warnings.length} warnings (${file})`,
    result: { ...found },
  };
}

/** Asks everything, in sessions that cannot write, and gathers what was found. Throws Failure when an end cannot be reached at all. */
export async function takeAssessment(context: Context): Promise<Assessment> {
  const ends = await connectEnds(context);
  const findings: Finding[] = [];
  let done = 0;
  for (const check of CHECKS) {
    context.progress.report(done, CHECKS.length, 'checks', check.gate);
    findings.push(...(await ask(ends, check)));
    done += 1;
  }
  const texts = (severity: Finding['severity']): string[] =>
    findings.filter((finding) => finding.severity === severity).map((finding) => finding.text);
  const sum = (value: (relation: Relation) => number): number =>
    ends.relations.reduce((all, relation) => all + value(relation), 0);
  return {
    refusals: texts('refusal'),
    warnings: texts('warning'),
    tables: ends.relations.length,
    bytes: sum((relation) => relation.bytes),
    rows: sum((relation) => relation.rows),
    sourceVersion: ends.sourceVersion,
    targetVersion: ends.targetVersion,
  };
}

async function connectEnds(context: Context): Promise<Ends> {
  const tooOld = refusalOfDeclared(context.config.source.version);
  if (tooOld !== undefined) throw new Failure(tooOld);
  // A login that cannot be made is told by its connection, beside what is wrong with the source.
  await ensureMigratorLogin(context).catch((error: unknown) => context.log.error(oneLine(error)));
  const [source, target] = await both((end) => context.connect(end, context.phase, true));
  for (const client of [source, target]) await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
  return {
    context,
    source,
    target,
    sourceVersion: await serverVersion(source),
    targetVersion: await serverVersion(target),
    relations: await readRelations(source, context.config),
  };
}

/** Connects to both ends and, when that fails, says what is wrong with each. */
async function both(connect: (end: End) => Promise<Client>): Promise<[Client, Client]> {
  const results = await Promise.allSettled([connect('source'), connect('target')]);
  const [source, target] = results;
  if (source.status === 'fulfilled' && target.status === 'fulfilled') return [source.value, target.value];
  const causes = results.flatMap((result) => (result.status === 'rejected' ? [oneLine(result.reason)] : []));
  throw new Failure(causes.join('; '));
}

/** Asks one thing and keeps what was answered. */
async function ask(ends: Ends, check: Check): Promise<readonly Finding[]> {
  const { query, result, findings } = await check.run(ends);
  const passed = findings.every((finding) => finding.severity !== 'refusal');
  await ends.context.evidence(check.gate, passed, query, { answer: result, findings });
  return findings;
}

/** All refusals in one line, as many as fit. */
export function refusalLine(refusals: readonly string[], rest: string): string {
  const head = `${refusals.length} ${refusals.length === 1 ? 'refusal' : 'refusals'}: `;
  const shown: string[] = [];
  let length = head.length + rest.length + 20;
  for (const [index, text] of refusals.entries()) {
    const part = `(${index + 1}) ${text}`;
    if (length + part.length > LONGEST_LINE) break;
    shown.push(part);
    length += part.length + 2;
  }
  const left = refusals.length - shown.length;
  return `${head}${shown.join('; ')}${left > 0 ? `; and ${left} more` : ''} (${rest})`;
}
