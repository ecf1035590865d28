import type { Client } from 'pg';
import { hiddenSchemas } from '../catalog/schemas';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { End } from '../endpoints';

/** What a check found. A refusal stops the migration before it begins; a warning is for a person to weigh. */
export interface Finding {
  readonly severity: 'refusal' | 'warning';
  /** One sentence: the thing by name, what is wrong with it, what to do. */
  readonly text: string;
}

/** Both ends as they stand, and what is known of them. */
export interface Ends {
  readonly context: Context;
  readonly source: Client;
  readonly target: Client;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  readonly relations: readonly Relation[];
}

/** What was asked, what was answered, what follows. */
export interface Answer {
  readonly query: string;
  readonly result: unknown;
  readonly findings: readonly Finding[];
}

/** One question about both ends. It changes nothing. */
export interface Check {
  /** Its name in the evidence. */
  readonly gate: string;
  readonly run: (ends: Ends) => Promise<Answer>;
}

export const refusal = (text: string): Finding => ({ severity: 'refusal', text });
export const warning = (text: string): Finding => ({ severity: 'warning', text });

/** Rows of an answer that the evidence keeps; the findings name them all. */
const KEPT_ROWS = 20;

/**
 * A check that asks one end for the things that are wrong, a row each.
 *
 * @param query its parameter $1, if it has one, is the list of schemas that are not the application's
 */
export function askFor<Row>(
  gate: string,
  end: End,
  query: string | ((ends: Ends) => string | undefined),
  judge: (row: Row, ends: Ends) => Finding | undefined,
): Check {
  return {
    gate,
    run: async (ends) => {
      const text = typeof query === 'string' ? query : query(ends);
      if (text === undefined) return { query: 'not asked of this version', result: [], findings: [] };
      const { rows } = await ends[end].query(text, text.includes('$1') ? [hiddenSchemas(ends.context.config)] : []);
      const findings = (rows as Row[]).flatMap((row) => judge(row, ends) ?? []);
      return { query: text, result: { rows: rows.length, first: rows.slice(0, KEPT_ROWS) }, findings };
    },
  };
}

/** A check of what was read before. */
export function lookAt(gate: string, what: string, judge: (ends: Ends) => readonly Finding[]): Check {
  return {
    gate,
    run: async (ends) => {
      const findings = judge(ends);
      return { query: what, result: { findings: findings.length }, findings };
    },
  };
}
