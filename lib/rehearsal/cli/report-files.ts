import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { oneLine, UsageError } from '../../../assets/agent/errors';
import { reportPage } from '../html/page';
import type { RehearsalReport } from '../report';
import type { Secrets } from './secrets';

const REPORT = 'report.json';
const PAGE = 'report.html';
const LOG = 'log';

/**
 * Makes the directory, and removes what an earlier rehearsal wrote there, which must not be taken for this one's.
 * Throws UsageError when that cannot be done.
 */
export function prepareReport(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
    for (const file of [REPORT, PAGE]) rmSync(join(directory, file), { force: true });
    rmSync(join(directory, LOG), { recursive: true, force: true });
  } catch (error) {
    throw new UsageError(`--report ${directory} cannot be written: ${oneLine(error)}; give a directory that can`);
  }
}

/** Writes the report whole or not at all, the page for people and the host program's logs beside it. @returns its file */
export function writeReport(directory: string, report: RehearsalReport, hostLogs: string, secrets: Secrets): string {
  copyLogs(hostLogs, join(directory, LOG), secrets);
  writeFileSync(join(directory, PAGE), reportPage(report));
  const file = join(directory, REPORT);
  writeFileSync(`${file}.new`, toJson(report));
  renameSync(`${file}.new`, file);
  return file;
}

/** The report as text. */
export const toJson = (report: RehearsalReport): string => `${JSON.stringify(report, null, 2)}\n`;

/** A phase's log says more than its message, and goes with the lab. */
function copyLogs(from: string, to: string, secrets: Secrets): void {
  const names = listing(from).filter((name) => name.endsWith('.jsonl'));
  if (names.length === 0) return;
  mkdirSync(to, { recursive: true });
  for (const name of names) writeFileSync(join(to, name), secrets.hide(readFileSync(join(from, name), 'utf8')));
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
