import type { Client } from 'pg';
import { pipe, type PipeOptions } from '../copy/pipe';

/**
 * Streams the rows of a query on one server into a table on the other, in COPY's text form, from socket to socket, so
 * that memory stays flat. Returns the number of rows that the receiving server counted. Throws PipeBroken, after which
 * both sessions are closed, as they are when the signal breaks it off.
 *
 * @param query the sending side's SELECT, or a DELETE … RETURNING
 * @param destination table with its column list, quoted
 */
export async function copyRows(
  sender: Client,
  query: string,
  receiver: Client,
  destination: string,
  options?: PipeOptions,
): Promise<number> {
  const { rows } = await pipe(sender, `COPY (${query}) TO STDOUT`, receiver, `COPY ${destination} FROM STDIN`, options);
  return rows;
}
