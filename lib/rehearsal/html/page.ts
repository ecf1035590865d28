import { count, duration } from '../cli/text';
import type { MoveReport, RehearsalReport } from '../report';
import { clientsTable } from './clients-table';
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
        ${figures(report)} ${pause(report)} ${clients(report)} ${watched(report)} ${phases(report)} ${gates(report)}
      </body>
    </html>`.text;
}

/** Phases that move writes, whose gates are read first. */
const MOVING: readonly string[] = ['ready', 'cutover', 'watch', 'rollback'];

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

function movePart(title: string, { pauseMs, steps, freeze, clientsSaw }: MoveReport): Html {
  return html`<h2>${title}</h2>
    <p>
      ${count(pauseMs)} ms as the host saw it.
      ${freeze && `The comparison of all rows, ${duration(freeze.seconds)}, came after it.`}
    </p>
    ${pauseChart(steps, pauseMs)} ${clientsSaw && clientsTable(clientsSaw)}`;
}

function clients({ writers }: RehearsalReport): Html | undefined {
  if (!writers) return undefined;
  const { latencyMs, acknowledgedTransactions, clients: kinds } = writers.statistics;
  return html`<h2>What the clients saw</h2>
    <p>
      ${count(acknowledgedTransactions)} transactions: half of them within ${latencyMs.p50.toFixed(1)} ms, 99 in 100
      within ${latencyMs.p99.toFixed(1)} ms, the longest took ${count(Math.round(latencyMs.max))} ms.
    </p>
    <table>
      <thead>
        <tr>
          <th>Clients</th>
          <th class="number">Served</th>
          <th class="number">Longest wait since the cutover began</th>
          <th class="number">Errors</th>
          <th>By SQLSTATE or kind</th>
        </tr>
      </thead>
      <tbody>
        ${kinds.map(
          ({ kind, done, errors, longestWaitMs, errorsBy }) =>
            html`<tr>
              <td>${kind}</td>
              <td class="number">${count(done)}</td>
              <td class="number">${count(longestWaitMs)} ms</td>
              <td class="number">${count(errors)}</td>
              <td>${errorsOf(errorsBy)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

const errorsOf = (errorsBy: Readonly<Record<string, number>>): string =>
  Object.entries(errorsBy)
    .sort(([, a], [, b]) => b - a)
    .map(([error, times]) => `${error} (${count(times)})`)
    .join(', ');

/** What the watch after the cutover found, check by check. */
function watched({ agent }: RehearsalReport): Html | undefined {
  const record = agent?.watch;
  if (!record) return undefined;
  const { looks, badLooks, watchedSeconds, checks, decisions } = record;
  return html`<h2>Watch after the cutover</h2>
    <p>
      ${count(looks)} looks in ${duration(watchedSeconds)}, ${badLooks === 0 ? 'none' : count(badLooks)} of them bad.
    </p>
    <table>
      <thead>
        <tr>
          <th>At the end</th>
          <th>Check</th>
          <th class="number">ok</th>
          <th class="number">warn</th>
          <th class="number">bad</th>
          <th>Last, and worst</th>
        </tr>
      </thead>
      <tbody>
        ${Object.entries(checks).map(
          ([name, { ok, warn, bad, last, worst }]) =>
            html`<tr>
              <td><span class="verdict ${last.verdict}">${last.verdict}</span></td>
              <td>${name}</td>
              <td class="number">${count(ok)}</td>
              <td class="number">${count(warn)}</td>
              <td class="number">${count(bad)}</td>
              <td>
                <div>${last.figure}${last.cause === undefined ? '' : `: ${last.cause}`}</div>
                ${
                  worst && worst.figure !== last.figure
                    ? html`<div class="todo">
                        ${worst.verdict} at ${worst.at.slice(11, 19)}: ${worst.figure}, ${worst.cause ?? ''}
                      </div>`
                    : undefined
                }
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${decisions.map(
      ({ at, why, outcome }) =>
        html`<p>
          A rollback was decided on at ${at.slice(11, 19)} because of ${why}. It ${outcome ?? 'is under way'}
        </p>`,
    )}`;
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
