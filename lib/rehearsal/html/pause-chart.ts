import { count } from '../cli/text';
import { html, type Html } from './template';

/** One step of the pause, as the host program measured it. */
export interface PauseStep {
  readonly step: string;
  readonly startMs: number;
  readonly ms: number;
}

const WIDTH = 880;
const LABEL = 170;
/** Room for the milliseconds at the right of the longest bar. */
const FIGURE = 80;
const ROW = 26;
const BAR = 14;
/** So wide is a bar at least, or nobody would see a step of a millisecond. */
const LEAST = 2;
const TICKS = 5;

/** The pause as bars on a time line, one row a step. */
export function pauseChart(steps: readonly PauseStep[], pauseMs: number): Html {
  const end = Math.max(pauseMs, ...steps.map(({ startMs, ms }) => startMs + ms), 1);
  const x = (ms: number): number => round(LABEL + (ms / end) * (WIDTH - LABEL - FIGURE));
  const height = steps.length * ROW + 28;
  const ticks = Array.from({ length: TICKS + 1 }, (_, index) => (index * end) / TICKS);
  const said = steps.map(({ step, startMs, ms }) => `${step} at ${count(startMs)} ms for ${ms} ms`).join('; ');
  return html`<svg
    viewBox="0 0 ${WIDTH} ${height}"
    role="img"
    aria-label="Write pause of ${count(pauseMs)} ms: ${said}"
  >
    ${ticks.map(
      (ms) =>
        html`<line class="grid" x1="${x(ms)}" x2="${x(ms)}" y1="0" y2="${steps.length * ROW}" />
          <text class="tick" x="${x(ms)}" y="${height - 8}">${count(Math.round(ms))} ms</text>`,
    )}
    ${steps.map(({ step, startMs, ms }, index) => {
      const width = Math.max(LEAST, x(startMs + ms) - x(startMs));
      const middle = index * ROW + ROW / 2;
      return html`<text class="label" x="${LABEL - 10}" y="${middle}">${step}</text>
        <rect class="bar" x="${x(startMs)}" y="${middle - BAR / 2}" width="${round(width)}" height="${BAR}" rx="3" />
        <text class="figure" x="${round(x(startMs) + width + 6)}" y="${middle}">${millis(ms)}</text>`;
    })}
  </svg>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

const millis = (ms: number): string => (ms >= 10 ? `${count(Math.round(ms))} ms` : `${ms.toFixed(1)} ms`);
