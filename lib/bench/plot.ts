import type { Chart } from './benchmark';
import { median, spread } from './statistics';

const WIDTH = 720;
const LABELS = 190;
const VALUES = 70;
const ROW = 28;
const TOP = 40;

const COLOURS = { ours: '#1f6f8b', peer: '#9aa5ad', line: '#333333' };

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** A value with three digits. */
export const readable = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toString();

/** Medians as bars from zero, each with a line from its least to its most value. SVG that needs no script and no font. */
export function plotBars({ title, unit, series }: Chart): string {
  const most = Math.max(...series.flatMap(({ values }) => values));
  const x = (value: number): number => LABELS + (value / most) * (WIDTH - LABELS - VALUES);
  const rows = series.map(({ way, values }, index) => {
    const y = TOP + index * ROW;
    const [middle, { least, most: high }] = [median(values), spread(values)];
    const colour = way.startsWith('Ibex') ? COLOURS.ours : COLOURS.peer;
    return [
      `<text x="${LABELS - 8}" y="${y + 14}" text-anchor="end">${escape(way)}</text>`,
      `<rect x="${LABELS}" y="${y}" width="${(x(middle) - LABELS).toFixed(1)}" height="20" fill="${colour}"/>`,
      `<line x1="${x(least).toFixed(1)}" x2="${x(high).toFixed(1)}" y1="${y + 10}" y2="${y + 10}" stroke="${COLOURS.line}" stroke-width="2"/>`,
      `<text x="${(x(high) + 6).toFixed(1)}" y="${y + 14}">${readable(middle)} ${escape(unit)}</text>`,
    ].join('\n');
  });
  const height = TOP + series.length * ROW + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13" fill="#222222">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="8" y="20" font-weight="bold">${escape(title)}</text>`,
    ...rows,
    '</svg>\n',
  ].join('\n');
}
