import { count, duration } from '../cli/text';
import type { MoveReport, RehearsalReport } from '../report';
import { evidenceTable } from './evidence-table';
import { pauseChart } from './pause-chart';
import { STYLE } from './style';
import { html, Html } from './template';

/** The report of a rehearsal as one page that needs nothing beside it. */
export function reportPage(report: RehearsalReport): string {
  const { passed, reasons, versions, seconds } = report;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Ibex rehearsal: ${passed ? 'passed' : 'failed'}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <div class="head">
          <h1>Ibex rehearsal</h1>
          <span class="verdict ${passed ? 'pass' : 'block'}">${passed ? 'passed' : 'failed'}</span>
        </div>
        <p class="faint">
          PostgreSQL ${versions.source ?? 'unknown'} to ${versions.target ?? 'unknown'}, ${duration(seconds)} in all
        </p>
        ${
          reasons.length > 0
            ? html`<ul class="reasons">
                ${reasons.map((reason) => html`<li>${reason}</li>`)}
              </ul>`
            : undefined
        }
        ${figures(report)} ${pause(report)} ${clients(report)} ${phases(report)} ${gates(report)}
      </body>
    </html>`.text;
}

/** Phases that move writes, whose gates are read first. */
const MOVING: readonly string[] = ['ready', 'cutover', 'rollback'];

function gates({ agent }: RehearsalReport): Html {
  const evidence = agent?.evidence ?? [];
  const moving = evidence.filter(({ phase }) => MOVING.includes(phase));
  const others = evidence.filter(({ phase }) => !MOVING.includes(phase));
  const table = (title: string, list: typeof evidence): Html =>
    html`<h2>${title}</h2>
      ${list.length > 0 ? evidenceTable(list) : html`<p class="faint">None.</p>`}`;
  return html`${table('Gates of the cutover', moving)} ${table('Gates of the other phases', others)}`;
}

function figures(report: RehearsalReport): Html {
  const list: readonly (readonly [string, string])[] = [
    ['acknowledged writes', count(report.acknowledgedWrites)],
    ['lost writes', count(report.lostWrites)],
    ['rows compared', count(report.rowsCompared)],
    ['rows different', count(report.rowsDifferent)],
    ['pause, as writers saw it', `${count(report.writePauseMs)} ms`],
    ['errors of clients', count(report.clientErrors)],
  ];
  return html`<dl class="figures">
    ${list.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

function pause({ agent, writePauseMs }: RehearsalReport): Html {
  const moves = [
    ['Write pause', agent?.cutover],
    ['Write pause of the rollback', agent?.rollback],
  ] as const;
  const known = moves.flatMap(([title, move]) => (move ? [movePart(title, move)] : []));
  if (known.length === 0)
    return html`<h2>Write pause</h2>
      <p class="faint">There was none.</p>`;
  return html`${known}
    <p class="faint">The longest that the writers saw: ${count(writePauseMs)} ms.</p>`;
}

function movePart(title: string, { pauseMs, steps, freeze }: MoveReport): Html {
  return html`<h2>${title}</h2>
    <p>
      ${count(pauseMs)} ms as the host saw it.
      ${freeze && `The comparison of all rows, ${duration(freeze.seconds)}, came after it.`}
    </p>
    ${pauseChart(steps, pauseMs)}`;
}

function clients({ writers }: RehearsalReport): Html | undefined {
  if (!writers) return undefined;
  const { clientErrorsBy, latencyMs, acknowledgedTransactions } = writers.statistics;
  const kinds = Object.entries(clientErrorsBy).sort(([, a], [, b]) => b - a);
  return html`<h2>What the clients saw</h2>
    <p>
      ${count(acknowledgedTransactions)} transactions: half of them within ${latencyMs.p50.toFixed(1)} ms, 99 in 100
      within ${latencyMs.p99.toFixed(1)} ms, the longest took ${count(Math.round(latencyMs.max))} ms.
    </p>
    ${
      kinds.length === 0
        ? html`<p>No error.</p>`
        : html`<table>
            <thead>
              <tr>
                <th>Error</th>
                <th class="number">Times</th>
              </tr>
            </thead>
            <tbody>
              ${kinds.map(
                ([kind, times]) =>
                  html`<tr>
                    <td>${kind}</td>
                    <td class="number">${count(times)}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }`;
}

function phases({ phases: all }: RehearsalReport): Html {
  return html`<h2>Phases</h2>
    <table>
      <thead>
        <tr>
          <th>Phase</th>
          <th>Ended</th>
          <th class="number">Took</th>
          <th>Outcome</th>
        </tr>
      </thead>
      <tbody>
        ${all.map(
          ({ name, status, seconds, message }) =>
            html`<tr>
              <td>${name}</td>
              <td><span class="verdict ${status === 'succeeded' ? 'pass' : 'block'}">${status}</span></td>
              <td class="number">${seconds === null ? '–' : duration(seconds)}</td>
              <td>${message}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}
