import { styleText } from 'node:util';

/** Emphasis of text; does nothing where colours are not wanted. */
export interface Styles {
  good(text: string): string;
  bad(text: string): string;
  strong(text: string): string;
  faint(text: string): string;
}

/** Where text goes. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** Colours for a terminal, unless NO_COLOR is set (no-color.org) or the terminal knows none. */
export function stylesFor(stream: Output, environment: NodeJS.ProcessEnv = process.env): Styles {
  const wanted = stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  const style = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    wanted && text !== '' ? styleText(format, text, { validateStream: false }) : text;
  return { good: style('green'), bad: style('red'), strong: style('bold'), faint: style('dim') };
}

/** A count with its thousands apart: `12,345`. */
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

/** A count in at most five characters: `980`, `12.3k`, `456k`, `7.8M`. */
export function shortCount(value: number): string {
  for (const [size, letter] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= size) return `${(value / size).toFixed(value >= 100 * size ? 0 : 1)}${letter}`;
  }
  return String(Math.round(value));
}

/** A rate in few characters. */
export const shortRate = (value: number): string => (value < 10 ? value.toFixed(1) : shortCount(value));

/** Time in seconds as a person reads it: `2.5 s`, `1:05`, `2:03:04`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return clockTime(seconds);
}

/** `m:ss`, or `h:mm:ss`. */
export function clockTime(seconds: number): string {
  const whole = Math.ceil(seconds);
  const pad = (value: number): string => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** Cuts a text that is too wide for its place. */
export const fit = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

/** Breaks a text between its words into lines of a width; a word that is wider stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
