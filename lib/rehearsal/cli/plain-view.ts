import { describe } from '../../../assets/agent/progress';
import { duration, type Output } from './text';
import type { PhaseEnd, View, Watched } from './view';
import { WritersLine } from './writers-line';

/** Time between two lines about the same phase; milliseconds. */
const INTERVAL_MS = 5000;

/** A line for each start and end, and one every few seconds between: for files, pipes and CI. */
export class PlainView implements View {
  private timer: NodeJS.Timeout | undefined;
  private closed = false;
  private readonly writers = new WritersLine();

  constructor(
    private readonly stream: Output,
    private readonly watched: Watched,
    private readonly intervalMs = INTERVAL_MS,
  ) {}

  line(text: string): void {
    this.stream.write(`${text}\n`);
  }

  phaseStarted(name: string): void {
    if (this.closed) return;
    clearInterval(this.timer);
    this.line(`${name}: started`);
    // The rate is taken from here on.
    this.writers.text(this.watched.writers());
    const startedAt = Date.now();
    this.timer = setInterval(() => this.progress(name, startedAt), this.intervalMs);
  }

  phaseEnded({ name, succeeded, seconds, message }: PhaseEnd): void {
    if (this.closed) return;
    clearInterval(this.timer);
    this.line(`${name}: ${succeeded ? 'succeeded' : 'FAILED'} after ${duration(seconds)}${message && `: ${message}`}`);
  }

  close(): void {
    this.closed = true;
    clearInterval(this.timer);
  }

  private progress(name: string, startedAt: number): void {
    const progress = this.watched.progress(name);
    const writers = this.writers.text(this.watched.writers());
    const how = progress ? describe(progress) : `running for ${duration((Date.now() - startedAt) / 1000)}`;
    this.line(`${name}: ${how}${writers && `; writers: ${writers}`}`);
  }
}
