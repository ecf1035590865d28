import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from, to } from 'pg-copy-streams';

/** A COPY that broke off: both sessions are in the midst of it and can only be closed. The cause says why. */
export class CopyInterrupted extends Error {}

/**
 * Streams the rows of a query on one server into a table on the other, in COPY's text form, with back-pressure, so that
 * memory stays flat. Returns the number of rows that the receiving server counted. Throws CopyInterrupted.
 *
 * @param query the sending side's SELECT
 * @param destination table with its column list, quoted
 */
export async function copyRows(sender: Client, query: string, receiver: Client, destination: string): Promise<number> {
  const output = sender.query(to(`COPY (${query}) TO STDOUT`));
  const input = receiver.query(from(`COPY ${destination} FROM STDIN`));
  try {
    await pipeline(output, input);
  } catch (cause) {
    throw new CopyInterrupted('COPY broke off', { cause });
  }
  return input.rowCount;
}
