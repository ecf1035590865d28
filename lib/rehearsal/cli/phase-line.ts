import type { Progress } from '../../../assets/agent/progress';
import { clockTime, fit, shortCount, shortRate } from './text';

/** Widest bar; characters. */
const BAR = 20;
/** Narrowest that still says anything. */
const LEAST_BAR = 5;

/** How far a phase is, in one line of a width: a bar where all is known, a counter elsewhere, rate, time left. */
export function phaseLine({ done, total, unit, since, at }: Progress, width: number): string {
  const seconds = (at - since) / 1000;
  const rate = seconds >= 1 ? done / seconds : 0;
  const speed = rate > 0 ? [`${shortRate(rate)}/s`] : [];
  if (total <= 0) return fit([`${shortCount(done)} ${unit}`, ...speed].join('  '), width);
  const share = Math.min(1, done / total);
  const left = rate > 0 && done < total ? [`${clockTime((total - done) / rate)} left`] : [];
  const percent = `${String(Math.floor(100 * share)).padStart(3)}%`;
  const text = [percent, `${shortCount(done)}/${shortCount(total)} ${unit}`, ...speed, ...left].join('  ');
  const room = Math.min(BAR, width - text.length - 2);
  return fit(room < LEAST_BAR ? text : `${bar(share, room)}  ${text}`, width);
}

function bar(share: number, width: number): string {
  const full = Math.round(share * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}
