import { concludeRehearsal, type AgentReport, type RehearsalOutcome } from '../../lib/rehearsal/report';
import type { WritersResult } from '../../lib/rehearsal/rehearsal';
import { agent, outcome, writers } from './cli/outcome';

const reasons = (changes: Partial<RehearsalOutcome>): readonly string[] => concludeRehearsal(outcome(changes)).reasons;
const evidence = (changes: Partial<AgentReport>): Partial<RehearsalOutcome> => ({ agent: { ...agent, ...changes } });
const verdict = (changes: Partial<WritersResult['verdict']>): Partial<RehearsalOutcome> => ({
  writers: { ...writers, verdict: { ...writers.verdict, ...changes } },
});
const freeze = (changes: object): Partial<RehearsalOutcome> =>
  evidence({ cutover: { pauseMs: 1, steps: [], freeze: { ...agent.cutover!.freeze!, ...changes } } });

describe('a rehearsal passes', () => {
  test('when every phase succeeded, nothing is lost, every row is equal and all three ways applied rows', () => {
    const report = concludeRehearsal(outcome());
    expect(report.reasons).toEqual([]);
    expect(report.passed).toBe(true);
  });

  test('with the figures first in its report', () => {
    const keys = Object.keys(JSON.parse(JSON.stringify(concludeRehearsal(outcome()))) as object);
    expect(keys.slice(0, 7)).toEqual([
      'acknowledgedWrites',
      'lostWrites',
      'rowsDifferent',
      'rowsCompared',
      'writePauseMs',
      'clientErrors',
      'phases',
    ]);
  });

  test('with the write pause as the writers saw it, in whole milliseconds', () => {
    expect(concludeRehearsal(outcome()).writePauseMs).toBe(412);
  });
});

describe('a rehearsal does not pass', () => {
  test('when a phase failed, and says why', () => {
    const phases = agent.phases.map((phase) =>
      phase.name === 'verify' ? { ...phase, status: 'failed', message: '3 rows differ in shop.order' } : phase,
    );
    expect(reasons(evidence({ phases }))).toEqual(['phase verify failed: 3 rows differ in shop.order']);
  });

  test('when phases never ran', () => {
    expect(reasons(evidence({ phases: agent.phases.slice(0, 7) }))).toEqual([
      'never ran: plans, ready, cutover, watch, cleanup',
    ]);
  });

  test.each([
    ['copy', { copy: 0, catchUp: 1, bucardo: 1 }, 'no row was applied by copy'],
    ['catch-up', { copy: 1, catchUp: 0, bucardo: 1 }, 'no row was applied by catch-up'],
    ['Bucardo', { copy: 1, catchUp: 1, bucardo: 0 }, 'no row was applied by Bucardo'],
  ])('when %s applied nothing', (_way, rows, reason) => {
    expect(reasons(evidence({ rows }))).toEqual([reason]);
  });

  test('when a write is lost, and shows one', () => {
    const examples = [
      { table: 'shop.order', key: 'id=7', kind: 'lostUpdate', expected: 'a', found: 'b' },
    ] satisfies WritersResult['verdict']['examples'];
    expect(reasons(verdict({ lostWrites: 2, examples }))).toEqual([
      '2 acknowledged writes are lost, for example shop.order id=7: expected a, found b',
    ]);
  });

  test('when nobody wrote, since nothing could be lost then', () => {
    expect(reasons(verdict({ acknowledgedWrites: 0 }))).toEqual(['no write was ever acknowledged']);
  });

  test('when nobody could write to the target', () => {
    expect(reasons({ writesAfterEnd: 0 })).toEqual(['no write was acknowledged after the migration']);
  });

  test('when the writers were not judged', () => {
    expect(reasons({ writers: undefined, failures: ['judging the writers: the target is gone'] })).toEqual([
      'judging the writers: the target is gone',
      'the writers were not judged',
    ]);
  });

  test('when a row differs', () => {
    expect(reasons(freeze({ rowsDifferent: 4 }))).toEqual(['4 rows differ']);
  });

  test('when not every row was compared', () => {
    expect(reasons(freeze({ complete: false }))).toEqual(['not every relation could be compared at the freeze']);
    expect(reasons(freeze({ rowsCompared: 0 }))).toEqual(['no row was there to compare at the freeze']);
    expect(reasons(evidence({ cutover: { pauseMs: 1, steps: [] } }))).toEqual(['rows were not compared at the freeze']);
  });

  test('when writes were to go there and back, and did not, or not every row was equal each time', () => {
    const compared = {
      at: '',
      phase: 'rollback',
      query: '',
      result: null,
      gate: 'every row equal at the freeze',
      passed: true,
    };
    const moved = { rollback: agent.cutover!, evidence: [compared, compared, compared] };
    expect(reasons({ rollback: true })).toEqual(['writes were never moved back']);
    expect(reasons({ ...evidence(moved), rollback: true })).toEqual([]);
    const twice = { ...moved, evidence: [compared, compared, { ...compared, passed: false }] };
    expect(reasons({ ...evidence(twice), rollback: true })).toEqual(['every row was equal at 2 of 3 moves of writes']);
    const different = {
      ...moved,
      rollback: { ...moved.rollback, freeze: { ...moved.rollback.freeze!, rowsDifferent: 3 } },
    };
    expect(reasons({ ...evidence(different), rollback: true })).toEqual(['3 rows differ at the rollback']);
  });

  test('without evidence of the host program', () => {
    expect(reasons({ agent: undefined })).toEqual(['the host program gave no evidence']);
  });
});
