import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, oneLine } from '../../assets/agent/errors';
import { ident } from '../../assets/agent/sql';
import { closeAllLabs } from '../rehearsal/lab';
import { APPLICATION_LOGIN, DATABASE, SOURCE_OWNER } from '../rehearsal/lab/source';
import { Rehearsal } from '../rehearsal/rehearsal';
import { concludeSoak, type SoakResult } from './result';
import {
  CascadingWriter,
  ROUGH_TABLES,
  SlowWriter,
  TruncatingWriter,
  type RoughResult,
  type RoughWriter,
} from './rough-writers';

/** What a soak is told. */
export interface SoakOptions {
  /** How long writers write between the hand-over to Bucardo and the cutover; minutes. */
  readonly minutes: number;
  /** Writers of the rehearsal's own application. */
  readonly connections: number;
  /** Transactions per second of these, all together. */
  readonly rate: number;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  readonly scale: number;
  readonly log: (line: string) => void;
}

/** Starts of the migration until it is given up. */
const ATTEMPTS = 4;

/** Writes of an application are told so often while the soak goes on; milliseconds. */
const TOLD_EVERY_MS = 30_000;

/**
 * A whole migration under an application that does everything an application may do, for as long as asked: the writers
 * of the rehearsal, and beside them some that truncate, cascade, take back savepoints and hold transactions open. The
 * sync runs for all of that time; the cutover waits for its end.
 */
export async function soak(options: SoakOptions, stop: AbortSignal): Promise<SoakResult> {
  const rehearsal = await Rehearsal.open({ ...options, migration: 'heroku-to-aurora', copy: 'stream' });
  const ending = new AbortController();
  try {
    // The application writes all tables that it finds, so those of the others come after it has looked.
    await rehearsal.startWriters();
    await makeRoughTables(rehearsal);
    const { application } = rehearsal.lab;
    const rough = [
      new TruncatingWriter('truncating', application, ending.signal),
      new CascadingWriter('truncating by cascade', application, ending.signal),
      new SlowWriter('slow', application, ending.signal),
    ];
    const running = Promise.all(rough.map((writer) => writer.run()));
    const { attempts, minutes } = await migrate(rehearsal, options, stop);
    await sleep(TOLD_EVERY_MS / 10);
    ending.abort();
    await running;
    return await judge(rehearsal, rough, minutes, attempts);
  } finally {
    ending.abort();
    rehearsal.cancel();
    await rehearsal.close();
    await closeAllLabs();
  }
}

/** Runs the migration, and again where the cutover gave the writes back. Returns how often, and the minutes of the soak. */
async function migrate(
  rehearsal: Rehearsal,
  options: SoakOptions,
  stop: AbortSignal,
): Promise<{ attempts: number; minutes: number }> {
  let minutes: number | undefined;
  for (let attempt = 1; ; attempt += 1) {
    const result = await rehearsal.run(
      'migrate',
      (event) => {
        if (event.kind === 'execution-started') options.log(event.documentName);
      },
      async ({ step }) => {
        if (step === 'approveCutover') minutes ??= await soakFor(options, rehearsal, stop);
        return 'Approved';
      },
    );
    stop.throwIfAborted();
    if (result.status === 'Success') {
      if (minutes === undefined) throw new Failure('the migration ended without having asked for the cutover');
      return { attempts: attempt, minutes };
    }
    const reason = `the migration ended as ${result.status}: ${oneLine(result.failureMessage ?? 'no reason given')}`;
    options.log(reason);
    if (attempt === ATTEMPTS) throw new Failure(reason);
  }
}

async function makeRoughTables({ lab }: Rehearsal): Promise<void> {
  const client = await lab.source.admin(DATABASE);
  try {
    await client.query(`SET ROLE ${ident(SOURCE_OWNER)}`);
    await client.query(ROUGH_TABLES);
    await client.query(`GRANT USAGE ON SCHEMA rough TO ${ident(APPLICATION_LOGIN)}`);
    await client.query(`GRANT ALL ON ALL TABLES IN SCHEMA rough TO ${ident(APPLICATION_LOGIN)}`);
  } finally {
    await client.end();
  }
}

/** Returns the minutes that it took. */
async function soakFor({ minutes, log }: SoakOptions, rehearsal: Rehearsal, stop: AbortSignal): Promise<number> {
  const began = Date.now();
  const until = began + minutes * 60_000;
  while (Date.now() < until && !stop.aborted) {
    await sleep(Math.min(TOLD_EVERY_MS, until - Date.now()), undefined, { signal: stop }).catch(() => undefined);
    const writes = rehearsal.statistics()?.acknowledgedWrites ?? 0;
    log(
      `${writes.toLocaleString('en')} acknowledged writes, ${Math.max(0, Math.round((until - Date.now()) / 1000))} s to go`,
    );
  }
  return Math.round((Date.now() - began) / 6_000) / 10;
}

async function judge(
  rehearsal: Rehearsal,
  writers: readonly RoughWriter[],
  minutes: number,
  attempts: number,
): Promise<SoakResult> {
  const client = await rehearsal.lab.connect(await rehearsal.lab.side());
  const rough: RoughResult[] = [];
  try {
    for (const writer of writers) rough.push(await writer.judge(client));
  } finally {
    await client.end();
  }
  const application = await rehearsal.stopWriters();
  const freeze = (await rehearsal.report()).cutover?.freeze;
  return concludeSoak({ minutes, attempts, writers: application, rough, freeze });
}
