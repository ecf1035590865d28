import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import type { Context } from '../context';
import { ident, literal, sql } from '../sql';
import { CAPTURE_SCHEMA } from './names';

/** Fact, in the state, of the id that the comment of the source's schema bucardo holds while capture is complete. */
export const CAPTURE_ID_FACT = 'capture.id';

const COMMENT = sql`
  SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = ${literal(CAPTURE_SCHEMA)}`;

/**
 * Id of the complete capture that a server holds, whether it is the source or was copied from it: files and dumps both
 * carry it along. Undefined where capture is absent or was not complete.
 */
export async function captureIdOf(client: Client): Promise<string | undefined> {
  const { rows } = await client.query(COMMENT);
  return /, id ([0-9a-f-]{36})$/.exec((rows[0] as { comment: string | null } | undefined)?.comment ?? '')?.[1];
}

/** The comment by which objects of ours are told from anyone else's; with an id only while every trigger is there. */
async function mark(context: Context, source: Client, id?: string): Promise<void> {
  const text = `Ibex ${context.config.migration}: capture of changes${id === undefined ? '' : `, id ${id}`}`;
  await source.query(`COMMENT ON SCHEMA ${ident(CAPTURE_SCHEMA)} IS ${literal(text)}`);
}

/**
 * Takes the id off before a trigger is made: what changed before it, nobody knows, so whoever was copied from the
 * source until now must not pass for a copy of this capture, however this run ends.
 */
export const beginCapture = (context: Context, source: Client): Promise<void> => mark(context, source);

/** Gives a capture its id once every trigger is there, and leaves it the one that it has. */
export async function completeCapture(context: Context, source: Client): Promise<void> {
  const known = await context.state.fact<string>(CAPTURE_ID_FACT);
  if (known !== undefined && known === (await captureIdOf(source))) return;
  const id = randomUUID();
  await context.state.setFact(CAPTURE_ID_FACT, id);
  await mark(context, source, id);
}
