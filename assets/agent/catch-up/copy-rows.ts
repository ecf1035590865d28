import type { Client } from 'pg';
import type { CopyFormat } from '../copy/format';
import { pipe, type PipeOptions } from '../copy/pipe';

/** How rows are streamed. */
export interface RowOptions extends PipeOptions {
  /** Binary only where both sides' columns are of the same types. @default text */
  readonly format?: CopyFormat | undefined;
}

/**
 * Streams the rows of a query on one server into a table on the other, from socket to socket, so that memory stays
 * flat. Returns the number of rows that the receiving server counted. Throws PipeBroken, after which
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
  { format = 'text', ...options }: RowOptions = {},
): Promise<number> {
  const from = `COPY (${query}) TO STDOUT (FORMAT ${format})`;
  const { rows } = await pipe(sender, from, receiver, `COPY ${destination} FROM STDIN (FORMAT ${format})`, options);
  return rows;
}
