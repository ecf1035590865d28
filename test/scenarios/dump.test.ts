import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { concludeRehearsal } from '../../lib/rehearsal/report';
import { openRehearsal } from '../helpers/rehearsal';

/** How long each end is written before the next move; `npm run rehearse -- --rollback --between 60` takes longer. */
const BETWEEN_MS = 2_000;

describe('a database never seen before, from its dump', () => {
  let rehearsal: Rehearsal;

  beforeAll(async () => {
    rehearsal = await openRehearsal({
      rate: 80,
      rollback: true,
      dump: join(__dirname, '..', 'fixtures', 'library.sql'),
    });
    await rehearsal.startWriters();
  });

  afterAll(async () => {
    await rehearsal?.close();
  });

  test('is migrated while every table of it is written, moved back, and moved to the target again', async () => {
    const moves: string[] = [];
    const { status, failureMessage } = await rehearsal.run('migrate', undefined, async ({ step }) => {
      if (step === 'approveCleanup') {
        await rehearsal.thereAndBack(BETWEEN_MS, async (_, work) => moves.push(await work()));
      }
      return 'Approved';
    });
    expect([status, failureMessage]).toEqual(['Success', undefined]);
    await sleep(2_000);
    const agent = await rehearsal.report();
    const writers = await rehearsal.stopWriters();
    expect(moves).toEqual([
      expect.stringMatching(/^the source takes writes; .* [1-9][\d,]* rows compared at the freeze, 0 different$/),
      expect.stringMatching(/^the target takes writes; .* [1-9][\d,]* rows compared at the freeze, 0 different$/),
    ]);
    const report = concludeRehearsal({ agent, writers, seconds: 1, rollback: true });
    expect([report.reasons, writers.verdict.examples]).toEqual([[], []]);
    const written = writers.tables.filter(({ unwritable }) => unwritable === undefined).map(({ table }) => table);
    expect(written).toHaveLength(6);
    expect(writers.tables.filter(({ unwritable }) => unwritable !== undefined)).toEqual([]);
  }, 240_000);
});
