import { MultiBar } from 'cli-progress';
import { phaseLine } from './phase-line';
import { duration, fit, type Output, type Styles, wrap } from './text';
import type { PhaseEnd, View, Watched } from './view';
import { WritersLine } from './writers-line';

/** Redraws a second. */
const FRAMES = 5;
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const CLEAR_TO_END = '\u001B[K';

/** Columns before a phase's message: mark, name, seconds. */
const NAME = 8;
const SECONDS = 8;
const INDENT = ' '.repeat(2 + NAME + 1 + SECONDS + 2);

/**
 * Live lines at the bottom (the phase, what it is at, the writers), and above them one for each phase that has ended.
 */
export class TerminalView implements View {
  private readonly bars: MultiBar;
  private readonly writers = new WritersLine();
  private phase: { readonly name: string; readonly startedAt: number } | undefined;
  private frame = 0;
  private live = false;
  private closed = false;

  constructor(
    private readonly stream: Output,
    private readonly watched: Watched,
    private readonly styles: Styles,
  ) {
    // Lines are drawn anew even when they are the same, since the lines above them push them down.
    this.bars = new MultiBar({ stream, fps: FRAMES, clearOnComplete: true, hideCursor: true, forceRedraw: true });
  }

  line(text: string): void {
    this.above(this.styles.faint(fit(`  ${text}`, this.width)));
  }

  phaseStarted(name: string): void {
    if (this.closed) return;
    this.phase = { name, startedAt: Date.now() };
    this.start();
  }

  phaseEnded({ name, succeeded, seconds, message }: PhaseEnd): void {
    if (this.closed) return;
    this.phase = undefined;
    const mark = succeeded ? this.styles.good('✓') : this.styles.bad('✗');
    const head = `${mark} ${this.styles.strong(name.padEnd(NAME))} ${duration(seconds).padStart(SECONDS)}  `;
    const [first = '', ...more] = wrap(message, this.width - INDENT.length);
    this.above(head + first);
    for (const line of more) this.above(INDENT + line);
  }

  close(): void {
    this.closed = true;
    if (!this.live) return;
    this.live = false;
    this.bars.update();
    this.bars.stop();
  }

  /** One column stays free: a terminal whose last column is written may wrap. */
  private get width(): number {
    return (this.stream.columns || 80) - 1;
  }

  private above(text: string): void {
    if (this.live) this.bars.log(`${text}${CLEAR_TO_END}\n`);
    else this.stream.write(`${text}\n`);
  }

  private start(): void {
    if (this.live) return;
    this.live = true;
    for (const line of [() => this.phaseText(), () => this.noteText(), () => this.writersText()]) {
      this.bars.create(0, 0, {}, { format: line });
    }
  }

  private phaseText(): string {
    this.frame += 1;
    const spinner = SPINNER[this.frame % SPINNER.length];
    if (!this.phase) return `${spinner} …`;
    const { name, startedAt } = this.phase;
    const seconds = duration((Date.now() - startedAt) / 1000).padStart(SECONDS);
    const head = `${spinner} ${this.styles.strong(name.padEnd(NAME))} ${seconds}  `;
    const progress = this.watched.progress(name);
    return progress ? `${head}${phaseLine(progress, this.width - INDENT.length)}` : head.trimEnd();
  }

  private noteText(): string {
    const note = this.phase ? (this.watched.progress(this.phase.name)?.note ?? '') : '';
    return note === '' ? '' : `${INDENT}${this.styles.faint(fit(note, this.width - INDENT.length))}`;
  }

  private writersText(): string {
    const text = this.writers.text(this.watched.writers());
    return text === '' ? '' : `  ${'writers'.padEnd(INDENT.length - 2)}${fit(text, this.width - INDENT.length)}`;
  }
}
