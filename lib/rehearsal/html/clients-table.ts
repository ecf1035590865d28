import type { ClientKind, ClientsSaw } from '../../../assets/agent/cutover/clients-saw';
import { count } from '../cli/text';
import { html, type Html } from './template';

/** What clients saw of a pause, as the host knows it without asking them: names of users and programs are theirs to choose. */
export function clientsTable({ kinds, unknown }: ClientsSaw): Html {
  return html`<h3>What clients saw, as the host knows it</h3>
    <table>
      <thead>
        <tr>
          <th>User and program</th>
          <th class="number">Sessions</th>
          <th class="number">Errors</th>
          <th class="number">Longest wait</th>
          <th>Known from</th>
        </tr>
      </thead>
      <tbody>
        ${kinds.map(row)}
      </tbody>
    </table>
    ${unknown.map((cause) => html`<p class="faint">Not known: ${cause}.</p>`)}`;
}

const row = ({ user, application, sessions, errors, longestWaitMs, how }: ClientKind): Html =>
  html`<tr>
    <td>${user === undefined ? 'everybody' : `${user}, ${application || 'without a name'}`}</td>
    <td class="number">${sessions === undefined ? '–' : count(sessions)}</td>
    <td class="number">${count(errors)}</td>
    <td class="number">${longestWaitMs === undefined ? '–' : `${count(longestWaitMs)} ms`}</td>
    <td>${how}</td>
  </tr>`;
