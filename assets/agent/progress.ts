import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** How far a phase is. */
export interface Progress {
  /** Units done and units in all; all is 0 while it is unknown. */
  readonly done: number;
  readonly total: number;
  /** What is counted, for example `rows` or `tables`. */
  readonly unit: string;
  /** What is being done now, for example a relation's name. */
  readonly note: string;
  /** When counting began and when this was written; milliseconds since the epoch. */
  readonly since: number;
  readonly at: number;
}

/** Shortest time between two writes of the progress file; milliseconds. */
const INTERVAL_MS = 400;

const file = (stateDirectory: string, phase: string): string => join(stateDirectory, 'jobs', `${phase}.progress.json`);

/** Tells the outside how far a phase is, through a small file, so that asking costs no connection. */
export class ProgressReport {
  private since = Date.now();
  private written = 0;

  constructor(
    private readonly stateDirectory: string,
    private readonly phase: string,
  ) {}

  /** Starts counting anew, for the next kind of work within the phase. */
  restart(): void {
    this.since = Date.now();
    this.written = 0;
  }

  report(done: number, total: number, unit: string, note: string): void {
    const at = Date.now();
    if (at - this.written < INTERVAL_MS && done !== total) return;
    this.written = at;
    const progress: Progress = { done, total, unit, note, since: this.since, at };
    const path = file(this.stateDirectory, this.phase);
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(`${path}.new`, JSON.stringify(progress));
      renameSync(`${path}.new`, path);
    } catch {
      // Work goes on untold where the volume takes no more: what needs the room itself says so.
    }
  }
}

/** The last progress that a phase reported, or undefined. */
export function readProgress(stateDirectory: string, phase: string): Progress | undefined {
  try {
    return JSON.parse(readFileSync(file(stateDirectory, phase), 'utf8')) as Progress;
  } catch {
    return undefined;
  }
}

/** One short line: percent, counts, rate and time left. */
export function describe(progress: Progress): string {
  const { done, total, unit, note } = progress;
  const seconds = (progress.at - progress.since) / 1000;
  const rate = seconds > 0 ? done / seconds : 0;
  const count = (value: number): string => Math.round(value).toLocaleString('en-US');
  const parts = [
    total > 0
      ? `${Math.floor((100 * done) / total)}% ${count(done)}/${count(total)} ${unit}`
      : `${count(done)} ${unit}`,
  ];
  if (seconds >= 1 && rate > 0) {
    parts.push(`${rate >= 10 ? count(rate) : rate.toFixed(1)} ${unit}/s`);
    if (total > done) parts.push(`${duration((total - done) / rate)} left`);
  }
  if (note !== '') parts.push(note);
  return parts.join(', ');
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const minutes = Math.floor(whole / 60);
  const pad = (value: number): string => String(value).padStart(2, '0');
  return minutes >= 60
    ? `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(whole % 60)}`
    : `${minutes}:${pad(whole % 60)}`;
}
