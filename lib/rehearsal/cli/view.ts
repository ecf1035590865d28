import type { Progress } from '../../../assets/agent/progress';
import type { WorkloadStatistics } from '../workload/statistics';
import { PlainView } from './plain-view';
import { TerminalView } from './terminal-view';
import { stylesFor, type Output } from './text';

/** How a phase ended. */
export interface PhaseEnd {
  readonly name: string;
  readonly succeeded: boolean;
  readonly seconds: number;
  /** The phase's own words. */
  readonly message: string;
}

/** Shows a rehearsal while it goes on. Calls for one phase come in their order; no two phases run at once. */
export interface View {
  /** Something that is told once. */
  line(text: string): void;
  phaseStarted(name: string): void;
  phaseEnded(end: PhaseEnd): void;
  /** Ends what moves; phases are shown no more. May be called again. */
  close(): void;
}

/** What a view asks a few times a second. */
export interface Watched {
  /** How far a phase is; undefined while it has not said. */
  progress(phase: string): Progress | undefined;
  /** What the writers did so far; undefined before they start. */
  writers(): WorkloadStatistics | undefined;
}

/** Live lines on a terminal, plain ones elsewhere. */
export const createView = (stream: Output, watched: Watched): View =>
  stream.isTTY === true && process.env['TERM'] !== 'dumb'
    ? new TerminalView(stream, watched, stylesFor(stream))
    : new PlainView(stream, watched);
