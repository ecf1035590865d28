import { html, type Html } from './template';

/** What the host program kept of one gate. */
export interface Evidence {
  readonly at: string;
  readonly phase: string;
  readonly gate: string;
  readonly passed: boolean;
  readonly query: string;
  readonly result: unknown;
}

/** The part of a result that gates of `ready` and checks of `watch` have. */
interface Answer {
  readonly verdict: 'pass' | 'warn' | 'block' | 'ok' | 'bad';
  readonly figure: string;
  readonly todo?: string;
  readonly result?: unknown;
}

const hasVerdict = (result: unknown): result is Answer =>
  typeof result === 'object' && result !== null && 'verdict' in result && 'figure' in result;

/** Characters of a result that the page shows; report.json has all of it. */
const SHOWN = 4_000;

/** Every gate: its verdict and figure at a glance, question and answer behind it. */
export function evidenceTable(evidence: readonly Evidence[]): Html {
  return html`<table>
    <thead>
      <tr>
        <th>Verdict</th>
        <th>Phase</th>
        <th>Gate</th>
        <th>Figure and what to do</th>
        <th>At</th>
      </tr>
    </thead>
    <tbody>
      ${evidence.map(row)}
    </tbody>
  </table>`;
}

function row({ at, phase, gate, passed, query, result }: Evidence): Html {
  const answer = hasVerdict(result) ? result : undefined;
  const verdict = answer?.verdict ?? (passed ? 'pass' : 'block');
  const text = JSON.stringify(answer?.result ?? result, null, 2) ?? '';
  return html`<tr>
    <td><span class="verdict ${verdict}">${verdict}</span></td>
    <td>${phase}</td>
    <td>${gate}</td>
    <td>
      ${answer && html`<div>${answer.figure}</div>`}
      ${answer?.todo !== undefined ? html`<div class="todo">${answer.todo}</div>` : undefined}
      <details>
        <summary>question and answer</summary>
        <pre>${query}</pre>
        <pre>${text.length > SHOWN ? `${text.slice(0, SHOWN)}\n… all of it is in report.json` : text}</pre>
      </details>
    </td>
    <td class="time">${at.slice(11, 23)}</td>
  </tr>`;
}
