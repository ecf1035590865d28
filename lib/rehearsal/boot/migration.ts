import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../../assets/agent/errors';
import type { Rds } from '../aws/rds';
import { RdsServer } from '../aws/rds-server';
import type { Lab } from '../lab';
import { until } from '../lab/processes';
import type { Phase } from '../../phases';
import type { AgentReport } from '../report';
import { checkLedger } from '../workload/check-ledger';
import { startWorkload, type Workload } from '../workload/workload';
import type { Machine } from './machine';
import { runPhase, switchProfile } from './runbooks';
import type { Synthesized } from './synthesized';

export interface MigrationRun {
  readonly machine: Machine;
  readonly synthesized: Synthesized;
  readonly lab: Lab;
  /** The target as RDS knows it. */
  readonly rds: Rds;
  readonly say: (line: string) => void;
  readonly check: (claim: string, holds: boolean, found?: unknown) => void;
}

/** Phases before the power is cut. */
const BEFORE_CUT: readonly Phase[] = ['assess', 'schema', 'capture', 'dump', 'restore', 'sync'];

const RUN: readonly Phase[] = [...BEFORE_CUT, 'verify', 'ready', 'cutover', 'cleanup'];

/** How long the sync may take to be near again after a reboot; milliseconds. */
const HEAL_TIMEOUT_MS = 120_000;

/** Key of a row that only we write. */
const MARKER = -77;

/** Migrates the lab's database by the runbooks, under writers, and takes the host's power away in the middle. */
export async function migrateWithReboot(run: MigrationRun): Promise<void> {
  const { lab, machine, synthesized, rds, say, check } = run;
  const ledger = join(lab.directory, 'ledger');
  const workload = await startWorkload({
    address: lab.application,
    connections: 4,
    rate: 60,
    ledger,
    tables: 'example',
  });
  try {
    for (const phase of BEFORE_CUT) await step(run, phase);
    await reboot(run);
    await step(run, 'verify');
    await switchProfile(machine, synthesized, rds, check);
    await step(run, 'ready');
    await takeSnapshot(run);
    await step(run, 'cutover');
    await lab.endpoint.switchTo('target');
    say('clients moved by the operator, as the settings say');
    await moreWrites(workload);
    await step(run, 'cleanup');
    await workload.stop();
    await judge(run, ledger);
    await checkUnits(machine, synthesized, check);
  } finally {
    await workload.stop();
  }
}

async function step({ machine, synthesized, say }: MigrationRun, phase: Phase): Promise<void> {
  const { startedAt, endedAt } = await runPhase(machine, synthesized, phase);
  const status = await machine.shell(`ibex job status ${phase}`);
  say(`${status} (${((endedAt.getTime() - startedAt.getTime()) / 1000).toFixed(0)} s)`);
}

/** The rollback point, without which the cutover does not begin. */
async function takeSnapshot({ machine, synthesized, rds, check }: MigrationRun): Promise<void> {
  const server = await RdsServer.start(rds);
  try {
    await runPhase(machine, synthesized, 'snapshot', server);
  } finally {
    await server.close();
  }
  check('the runbook snapshot has made one', rds.snapshots.size === 1, [...rds.snapshots]);
}

async function moreWrites(workload: Workload): Promise<void> {
  const before = workload.statistics().acknowledgedTransactions;
  if (!(await until(() => workload.statistics().acknowledgedTransactions > before + 100, 60_000, 100))) {
    throw new Failure('the writers write nothing on the target');
  }
}

/** Hard power loss, some seconds of darkness, a boot; and then nothing but looking. */
async function reboot({ machine, lab, say, check }: MigrationRun): Promise<void> {
  const bootId = 'cat /proc/sys/kernel/random/boot_id';
  const before = await machine.shell(bootId);
  say('power is cut in the middle of the sync');
  await machine.kill();
  await mark(lab);
  await sleep(5_000);
  await machine.boot();
  const cut = Date.now();
  check('the machine is up again, with a boot of its own', (await machine.shell(bootId)) !== before);
  const arrived = await until(() => marked(lab), HEAL_TIMEOUT_MS, 200);
  check(
    'the sync goes on by itself: a row that was written in the dark is on the target',
    arrived,
    await state(machine),
  );
  say(`it was there ${((Date.now() - cut) / 1000).toFixed(1)} s after the boot`);
  const parts = await machine.shell(
    `findmnt -n -o FSTYPE /database; systemctl is-active ibex-supervise postgresql@15-main; pgrep -c -f '^Bucardo Master'; stat -c %U:%a /run/ibex/pg_service.conf`,
  );
  check('volume, server, supervisor and Bucardo came up', parts === 'xfs\nactive\nactive\n1\npostgres:600', parts);
}

async function mark(lab: Lab): Promise<void> {
  const source = await lab.connect('source');
  await source.query(`INSERT INTO shop.text_sample (id, what, sample) VALUES (${MARKER}, 'written in the dark', $1)`, [
    'as the host was down',
  ]);
  await source.end();
}

async function marked(lab: Lab): Promise<boolean> {
  const target = await lab.connect('target');
  try {
    const { rowCount } = await target.query(`SELECT FROM shop.text_sample WHERE id = ${MARKER}`);
    return rowCount === 1;
  } finally {
    await target.end();
  }
}

/** Why the sync does not go on, as far as the machine tells. */
const state = (machine: Machine): Promise<string> =>
  machine.shell(
    'systemctl --failed --plain --no-legend; systemctl status --no-pager --lines=5 ibex-supervise; tail -n 3 /database/ibex/log/supervise.jsonl /database/ibex/log/bucardo/log.bucardo || true',
  );

async function judge({ lab, machine, say, check }: MigrationRun, ledger: string): Promise<void> {
  const report = JSON.parse(await machine.shell('ibex report')) as AgentReport;
  const freeze = report.cutover?.freeze;
  const equal = freeze?.complete === true && freeze.rowsDifferent === 0 && freeze.rowsCompared > 0;
  check(`every row is equal at the freeze (${freeze?.rowsCompared} compared)`, equal, freeze);
  const unfinished = report.phases.filter(({ status }) => status !== 'succeeded');
  check('every phase has succeeded', unfinished.length === 0 && report.phases.length === RUN.length, report.phases);
  const target = await lab.connect('target');
  try {
    const verdict = await checkLedger(ledger, target);
    const kept = verdict.acknowledgedWrites > 0 && verdict.lostWrites === 0;
    check(`no acknowledged write is lost (${verdict.acknowledgedWrites} looked for)`, kept, verdict.examples);
  } finally {
    await target.end();
  }
  const { copy, catchUp, bucardo } = report.rows;
  say(
    `rows by copy ${copy}, by catch-up ${catchUp}, by Bucardo ${bucardo}; Bucardo started ${report.bucardoRestarts} times`,
  );
}

/** Each phase was a unit of its own, by the journal of both boots. */
async function checkUnits(
  machine: Machine,
  { configuration }: Synthesized,
  check: MigrationRun['check'],
): Promise<void> {
  const journal = await machine.shell('journalctl --no-pager --quiet --output=cat --identifier=systemd');
  const missing = RUN.filter((phase) => !journal.includes(`ibex-${configuration.migration}-${phase}.service`));
  check('each phase ran as a systemd unit', missing.length === 0, missing);
}
