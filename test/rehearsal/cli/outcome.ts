import type { RehearsalOutcome, AgentReport } from '../../../lib/rehearsal/report';
import type { WritersResult } from '../../../lib/rehearsal/rehearsal';
import { phasesOf } from '../../../lib/phases';

/** The evidence of a migration in which all went well. */
export const agent: AgentReport = {
  versions: { source: '11.22', target: '17.10' },
  phases: phasesOf('dump').map((name, index) => ({
    name,
    status: 'succeeded',
    seconds: index + 0.25,
    message: `${name} is done`,
  })),
  rows: { copy: 1_000_000, catchUp: 2_000, bucardo: 300 },
  bucardoRestarts: 0,
  cutover: {
    pauseMs: 380,
    steps: [
      { step: 'fence', startMs: 0, ms: 60.6 },
      { step: 'drain', startMs: 61, ms: 290.1 },
    ],
    freeze: { rowsCompared: 1_002_345, rowsDifferent: 0, seconds: 4.2, complete: true, notCompared: [] },
  },
  evidence: [],
};

/** Writers of whom nothing was lost. */
export const writers: WritersResult = {
  statistics: {
    acknowledgedTransactions: 9_000,
    acknowledgedWrites: 12_345,
    failedTransactions: 20,
    unknownTransactions: 1,
    rolledBackTransactions: 30,
    clientErrors: 21,
    clientErrorsBy: { ECONNRESET: 3, '25006': 18 },
    latencyMs: { p50: 6.51, p99: 52.4, max: 145 },
    clients: [
      {
        kind: 'writer of short transactions',
        done: 9_000,
        errors: 19,
        errorsBy: { ECONNRESET: 1, '25006': 18 },
        longestWaitMs: 431,
      },
      { kind: 'reader', done: 700, errors: 2, errorsBy: { ECONNRESET: 2 }, longestWaitMs: 63 },
    ],
  },
  tables: [
    { table: 'shop.order', operations: {}, judged: 'version' },
    { table: 'shop.note', operations: {}, judged: 'nothing', unwritable: 'it has no key' },
  ],
  verdict: {
    acknowledgedWrites: 12_345,
    unknownWrites: 2,
    lostWrites: 0,
    lostRows: 0,
    lostUpdates: 0,
    revivedDeletes: 0,
    ghostRows: 0,
    countersWrong: 0,
    judged: 5_000,
    limited: [{ table: 'shop.total', by: 'presence' }],
    examples: [],
  },
  pause: { longestMs: 412.4, at: 0 },
};

/** An outcome that passes, but for what is changed. */
export const outcome = (changes: Partial<RehearsalOutcome> = {}): RehearsalOutcome => ({
  agent,
  writers,
  seconds: 75,
  writesAfterEnd: 100,
  ...changes,
});
