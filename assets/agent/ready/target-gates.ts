import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import { WITHOUT_STATISTICS, withoutStatistics } from '../catalog/statistics';
import { missingConstraints } from '../constraints';
import { fenceGaps } from '../fence/target';
import { readFenceState } from '../fence/objects';
import { sql } from '../sql';
import { block, firstOf, pass, warn, type Gate } from './gate';

const constraints: Gate = {
  name: 'constraints complete',
  query: 'missingConstraints: the schema archive without ibex.restored of the target',
  again: true,
  forwardOnly: true,
  ask: async ({ context, target }) => {
    const missing = await missingConstraints(context, target);
    return missing === 0
      ? pass('everything of the schema is made', { missing })
      : block(`${missing} objects are not yet on the target`, 'start sync again', { missing });
  },
};

const NOT_VALID = sql`
  SELECT 'index' AS kind, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT (i.indisvalid AND i.indisready) AND ${isApplicationSchema('n.nspname', '$1')}
  UNION ALL
  SELECT 'constraint', format('%I of %s', k.conname, k.conrelid::regclass)
  FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
  WHERE NOT k.convalidated AND ${isApplicationSchema('n.nspname', '$1')}
  ORDER BY 1, 2`;

const valid: Gate = {
  name: 'indexes and constraints valid',
  query: NOT_VALID,
  again: false,
  forwardOnly: true,
  ask: async ({ context, source, target }) => {
    const read = async (client: typeof source): Promise<string[]> =>
      ((await client.query(NOT_VALID, [hiddenSchemas(context.config)])).rows as { kind: string; name: string }[]).map(
        ({ kind, name }) => `${kind} ${name}`,
      );
    const known = await read(source);
    const found = await read(target);
    const ours = found.filter((name) => !known.includes(name));
    const result = { target: found, source: known };
    if (ours.length > 0)
      return block(`not valid: ${firstOf(ours)}`, 'REINDEX, or ALTER TABLE … VALIDATE CONSTRAINT, there', result);
    return found.length > 0
      ? warn(`not valid on either end: ${firstOf(found)}`, 'validate or drop them when there is time', result)
      : pass('all', result);
  },
};

/** Below this size a plan without statistics is no worse than with them; bytes. */
const SMALL_BYTES = 1_048_576;

const analyzed: Gate = {
  name: 'ANALYZE done on the target',
  query: WITHOUT_STATISTICS,
  again: false,
  forwardOnly: true,
  ask: async ({ context, target }) => {
    const tables = await withoutStatistics(target, context.config);
    const large = tables.filter(({ bytes }) => bytes > SMALL_BYTES);
    const named = (list: typeof tables): string => firstOf(list.map((table) => table.sql));
    if (large.length > 0)
      return block(
        `${large.length} tables without statistics: ${named(large)}`,
        'ANALYZE them: without, plans are guesses',
        tables,
      );
    return tables.length > 0
      ? warn(`${tables.length} small tables without statistics: ${named(tables)}`, 'ANALYZE them', tables)
      : pass('every table has statistics', tables);
  },
};

const closed: Gate = {
  name: 'target closed',
  query: 'readFenceState: prosrc of ibex.fence; fenceGaps',
  again: true,
  forwardOnly: false,
  ask: async ({ context, target }) => {
    const state = await readFenceState(target);
    const real = context.real('target');
    const [close, closeAll] =
      context.direction === 'forward'
        ? ['start add, which closes it', ', or start add, then verify']
        : ['start cutover again', ', then wait until the way back is open again'];
    if (state?.kind !== 'closed')
      return block(state?.kind ?? 'no fence', `the ${real} is not closed to writes; ${close}`, state ?? null);
    const gaps = await fenceGaps(target);
    const result = { state, gaps };
    return gaps.length === 0
      ? pass('no one but us writes there', result)
      : block(
          `the ${real} may have taken writes: ${firstOf(gaps)}`,
          `ENABLE TRIGGER ibex_fence there${closeAll}`,
          result,
        );
  },
};

/**
 * With what a session of the application begins: ours has set its own since it began. Beside it, what roles and databases
 * carry; a setting that our own login carries hides the server's from us.
 */
const DURABILITY = sql`
  SELECT name, reset_val AS setting, false AS ours FROM pg_settings
  WHERE name IN ('synchronous_commit', 'fsync', 'full_page_writes')
  UNION ALL
  SELECT format('%s for %s', split_part(c, '=', 1), coalesce('role ' || quote_ident(r.rolname),
      'database ' || quote_ident(d.datname), 'every role')), split_part(c, '=', 2), r.rolname IS NOT DISTINCT FROM session_user
  FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c
  LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
  WHERE c LIKE 'synchronous\_commit=%' AND (d.datname IS NULL OR d.datname = current_database())
  ORDER BY 1`;

const IS_AURORA = `SELECT to_regprocedure('aurora_version()') IS NOT NULL AS aurora`;

const durable: Gate = {
  name: 'durable commits on the target',
  query: DURABILITY,
  again: true,
  forwardOnly: false,
  ask: async ({ target }) => {
    const { aurora } = (await target.query(IS_AURORA)).rows[0] as { aurora: boolean };
    const settings = (await target.query(DURABILITY)).rows as { name: string; setting: string; ours: boolean }[];
    // Aurora's storage keeps the log itself: fsync and full_page_writes mean nothing there.
    const meant = settings.filter(({ name }) => !aurora || name.startsWith('synchronous_commit'));
    const off = firstOf(meant.filter(({ setting }) => setting === 'off').map(({ name }) => name));
    const hiding = settings.find(({ ours }) => ours);
    const problems = [
      ...(off === '' ? [] : [`${off} is off`]),
      ...(hiding ? [`${hiding.name}, our own login, hides the server's`] : []),
    ];
    const result = { aurora, settings };
    return problems.length === 0
      ? pass('a commit survives a crash', result)
      : block(
          problems.join('; '),
          `${off === '' ? 'ALTER ROLE … RESET synchronous_commit' : 'set it on'}: a crash would lose what clients were told`,
          result,
        );
  },
};

/** Whether the target can serve. */
export const TARGET_GATES: readonly Gate[] = [constraints, valid, analyzed, closed, durable];
