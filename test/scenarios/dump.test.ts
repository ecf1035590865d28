import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { concludeRehearsal } from '../../lib/rehearsal/report';
import { openRehearsal } from '../helpers/rehearsal';

describe('a database never seen before, from its dump', () => {
  let rehearsal: Rehearsal;

  beforeAll(async () => {
    rehearsal = await openRehearsal({ rate: 80, dump: join(__dirname, '..', 'fixtures', 'library.sql') });
    await rehearsal.startWriters();
  });

  afterAll(async () => {
    await rehearsal?.close();
  });

  test('is migrated while every table of it is written', async () => {
    const { status, failureMessage } = await rehearsal.run('migrate');
    expect([status, failureMessage]).toEqual(['Success', undefined]);
    await sleep(2_000);
    const agent = await rehearsal.report();
    const writers = await rehearsal.stopWriters();
    const report = concludeRehearsal({ agent, writers, seconds: 1 });
    expect([report.reasons, writers.verdict.examples]).toEqual([[], []]);
    const written = writers.tables.filter(({ unwritable }) => unwritable === undefined).map(({ table }) => table);
    expect(written).toHaveLength(6);
    expect(writers.tables.filter(({ unwritable }) => unwritable !== undefined)).toEqual([]);
  }, 240_000);
});
