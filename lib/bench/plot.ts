import { html as xml, Html } from '../rehearsal/html/template';
import type { Chart, Growth, Line } from './benchmark';
import { median, spread } from './statistics';

const WIDTH = 720;
const LABELS = 190;
const VALUES = 90;
const ROW = 28;
const TOP = 40;

/** A plot shown as an image is told by the system whether it stands in the light or in the dark. */
const STYLE = new Html(`<style>
text { fill: #222222; font: 13px sans-serif }
.title { font-weight: bold }
.faint { fill: #555555; font-size: 12px }
.paper { fill: #ffffff }
.axis { stroke: #888888; stroke-width: 1 }
.spread { stroke: #222222; stroke-width: 2 }
.ours { fill: #1f7a94; stroke: #1f7a94 }
.peer0 { fill: #8a949c; stroke: #8a949c }
.peer1 { fill: #b07d2b; stroke: #b07d2b }
.peer2 { fill: #7c6bb0; stroke: #7c6bb0 }
.peer3 { fill: #a8506b; stroke: #a8506b }
polyline { fill: none !important; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e6e6 }
  .faint { fill: #b4b4b4 }
  .paper { fill: #16191c }
  .spread { stroke: #e6e6e6 }
  .ours { fill: #4fb3cf; stroke: #4fb3cf }
  .peer0 { fill: #77828b; stroke: #77828b }
}
</style>`);

/** A value with three digits. */
export const readable = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toString();

const isGrowth = (chart: Chart | Growth): chart is Growth => 'lines' in chart;

/** A chart in words, for those who do not see it. */
export function describePlot(chart: Chart | Growth): string {
  const values = isGrowth(chart)
    ? chart.lines.map(({ way, points }) =>
        [way, ...points.map(({ x, values }) => `${readable(median(values))} at ${readable(x)}`)].join(' '),
      )
    : chart.series.map(({ way, values }) => `${way} ${readable(median(values))}`);
  const size = isGrowth(chart) ? ` by ${chart.size}` : '';
  return `${chart.title}, ${chart.unit}${size}: ${values.join('; ')}`;
}

/** An SVG that needs no script and no font, with its values in words. */
export const plot = (chart: Chart | Growth): string => (isGrowth(chart) ? plotLines(chart) : plotBars(chart));

const round = (value: number): string => value.toFixed(1);

function frame(chart: Chart | Growth, height: number, parts: readonly Html[]): string {
  return xml`<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title text">
<title id="title">${chart.title}</title>
<desc id="text">${describePlot(chart)}</desc>
${STYLE}
<rect class="paper" width="${WIDTH}" height="${height}"/>
<text class="title" x="8" y="20">${chart.title}</text>
${parts}</svg>
`.text;
}

/** Medians as bars from zero, each with a line from its least to its most value. */
function plotBars(chart: Chart): string {
  const { unit, series } = chart;
  const most = Math.max(...series.flatMap(({ values }) => values), Number.MIN_VALUE);
  const x = (value: number): number => LABELS + (value / most) * (WIDTH - LABELS - VALUES);
  const rows = series.map(({ way, values }, index) => {
    const y = TOP + index * ROW;
    const [middle, { least, most: high }] = [median(values), spread(values)];
    return xml`<text x="${LABELS - 8}" y="${y + 14}" text-anchor="end">${way}</text>
<rect class="${classOf(way, 0)}" x="${LABELS}" y="${y}" width="${round(x(middle) - LABELS)}" height="20"/>
<line class="spread" x1="${round(x(least))}" x2="${round(x(high))}" y1="${y + 10}" y2="${y + 10}"/>
<text x="${round(x(high) + 6)}" y="${y + 14}">${readable(middle)} ${unit}</text>
`;
  });
  return frame(chart, TOP + series.length * ROW + 10, rows);
}

const PLOT = { left: 60, right: 440, top: 44, bottom: 280, height: 330 };

/** Medians over the size of what was worked on, both from zero, a line for each way. */
function plotLines(chart: Growth): string {
  const points = chart.lines.flatMap((line) => line.points);
  const widest = Math.max(...points.map(({ x }) => x), Number.MIN_VALUE);
  const most = Math.max(...points.flatMap(({ values }) => values), Number.MIN_VALUE);
  const { left, right, top, bottom, height } = PLOT;
  const x = (value: number): number => left + (value / widest) * (right - left);
  const y = (value: number): number => bottom - (value / most) * (bottom - top);
  const axes = xml`<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>
<line class="axis" x1="${left}" x2="${left}" y1="${top}" y2="${bottom}"/>
<text class="faint" x="${left - 6}" y="${top + 5}" text-anchor="end">${readable(most)} ${chart.unit}</text>
<text class="faint" x="${left - 6}" y="${bottom}" text-anchor="end">0</text>
<text class="faint" x="${right}" y="${bottom + 36}" text-anchor="end">${chart.size}</text>
`;
  const sizes = [...new Set(points.map((point) => point.x))].map((size) => {
    const at = round(x(size));
    return xml`<text class="faint" x="${at}" y="${bottom + 18}" text-anchor="middle">${readable(size)}</text>\n`;
  });
  const heights = apart(chart.lines.map((line) => y(median(line.points.at(-1)?.values ?? [0]))));
  const lines = chart.lines.map(({ way, points: own }, index) => {
    const peers = chart.lines.slice(0, index).filter((line) => !isOurs(line.way)).length;
    const look = classOf(way, peers);
    const at = own.map((point) => [round(x(point.x)), round(y(median(point.values)))] as const);
    const end = own.at(-1);
    return xml`<polyline class="${look}" points="${at.map((point) => point.join()).join(' ')}"/>
${at.map(([cx, cy]) => xml`<circle class="${look}" cx="${cx}" cy="${cy}" r="3"/>`)}
<circle class="${look}" cx="${right + 18}" cy="${round(heights[index] ?? 0)}" r="4"/>
<text x="${right + 28}" y="${round((heights[index] ?? 0) + 4)}">${way}: ${last(points, end, chart.unit)}</text>
`;
  });
  return frame(chart, height, [axes, ...sizes, ...lines]);
}

type Point = Line['points'][number];

/** The last value of a line; of one that ends before the others, with its place. */
function last(all: readonly Point[], end: Point | undefined, unit: string): string {
  const value = `${readable(median(end?.values ?? []))} ${unit}`;
  const widest = Math.max(...all.map(({ x }) => x));
  return end === undefined || end.x === widest ? value : `${value} at ${readable(end.x)}`;
}

const isOurs = (way: string): boolean => way.startsWith('Ibex');

const classOf = (way: string, peer: number): string => (isOurs(way) ? 'ours' : `peer${peer % 4}`);

/** Heights of labels, moved so far that none hides another. */
function apart(wanted: readonly number[], distance = 17): number[] {
  const placed = [...wanted];
  const order = wanted.map((_, index) => index).sort((a, b) => (wanted[b] ?? 0) - (wanted[a] ?? 0));
  let lowest = Number.POSITIVE_INFINITY;
  for (const index of order) {
    lowest = Math.min(wanted[index] ?? 0, lowest - distance);
    placed[index] = lowest;
  }
  return placed;
}
