import { capture } from '../../assets/agent/capture';
import { CAPTURE_SCHEMA, DELTA_TRIGGER, deltaName } from '../../assets/agent/capture/names';
import { keyOf } from '../../assets/agent/capture/objects';
import { readRelations, type Relation } from '../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../assets/agent/config';
import { ident, identList, qualified, sql } from '../../assets/agent/sql';
import { runPhase } from './copy-ways';

/**
 * Installs our capture, and puts triggers for each statement, with transition tables, in the place of those for each
 * row: the other way to fill the same queues, which is measured here to know whether it is worth having. A table may
 * have neither partitions nor heirs then.
 */
export const installStatementTriggers = (config: AgentConfig): Promise<void> =>
  runPhase(config, 'capture', async (context) => {
    await capture.run(context);
    const source = await context.connect('source');
    for (const relation of await readRelations(source, config)) await source.query(statementsOf(relation));
  });

const READS = {
  INSERT: ['REFERENCING NEW TABLE AS after', (names: string) => `SELECT ${names} FROM after`],
  DELETE: ['REFERENCING OLD TABLE AS before', (names: string) => `SELECT ${names} FROM before`],
  UPDATE: [
    'REFERENCING OLD TABLE AS before NEW TABLE AS after',
    (names: string) => `SELECT ${names} FROM before UNION SELECT ${names} FROM after`,
  ],
} as const;

function statementsOf(relation: Relation): string {
  const name = deltaName(relation.schema, relation.name);
  const names = identList(keyOf(relation).columns.map((column) => column.name));
  const triggers = Object.entries(READS).map(([event, [tables, read]]) => {
    const note = qualified(CAPTURE_SCHEMA, `${name}_${event.toLowerCase()}`);
    return sql`
      CREATE FUNCTION ${note}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
      SET search_path = pg_catalog, pg_temp AS $function$
      BEGIN
        INSERT INTO ${qualified(CAPTURE_SCHEMA, name)} (${names}) ${read(names)};
        RETURN NULL;
      END
      $function$;
      CREATE TRIGGER ${ident(`${DELTA_TRIGGER}_${event.toLowerCase()}`)} AFTER ${event} ON ${relation.sql} ${tables}
      FOR EACH STATEMENT EXECUTE PROCEDURE ${note}()`;
  });
  return [`DROP TRIGGER ${ident(DELTA_TRIGGER)} ON ${relation.sql}`, ...triggers].join(';\n');
}
