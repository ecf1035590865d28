import { CAPTURE_SCHEMA } from '../capture/names';
import { literal, sql } from '../sql';
import { columnNames, notOfExtension, ROUTINE, SCHEMA } from './catalog-sql';

/** What a routine gives back by its arguments, which its result need not tell. */
const OUT = sql`
  (SELECT string_agg(concat_ws(' ', 'out', p.proargnames[i], format_type(p.proallargtypes[i], NULL)), ', ' ORDER BY i)
    FROM generate_subscripts(p.proallargtypes, 1) AS i WHERE p.proargmodes[i] IN ('o', 'b'))`;

/** The server keeps a body as it was written, so that its hash is the same on every major. */
const functions = (version: number): string => sql`
  SELECT 'function', ${ROUTINE},
    concat_ws(' ', l.lanname, CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
      CASE WHEN p.prosecdef THEN 'security definer' ELSE 'security invoker' END, CASE WHEN p.proisstrict THEN 'strict' END,
      CASE WHEN p.proleakproof THEN 'leakproof' END,
      CASE p.proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' END,
      'returns ' || pg_get_function_result(p.oid), ${OUT},
      CASE WHEN p.pronargdefaults > 0 THEN 'with ' || p.pronargdefaults || ' defaults' END,
      'set ' || array_to_string(p.proconfig, ', '), 'body', md5(p.prosrc)),
    pg_get_userbyid(p.proowner)::text, true, NULL, NULL,
    pg_get_expr(p.proargdefaults, 0), NULL
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  WHERE ${SCHEMA} AND ${notOfExtension('pg_proc', 'p.oid')}
    AND ${version >= 110000 ? `p.prokind <> 'a'` : 'NOT p.proisagg'}`;

/** Bodies in standard SQL, which the server words anew. */
const bodies = sql`
  SELECT 'body of function', ${ROUTINE}, 'in SQL', NULL, true, NULL, NULL, pg_get_function_sqlbody(p.oid),
    format(CASE p.prokind WHEN 'p' THEN 'PROCEDURE pg_temp.%I(%s) LANGUAGE sql' ELSE 'FUNCTION pg_temp.%I(%s) RETURNS %s LANGUAGE sql' END,
      p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prosqlbody IS NOT NULL AND ${SCHEMA} AND ${notOfExtension('pg_proc', 'p.oid')}`;

const aggregates = sql`
  SELECT 'aggregate', ${ROUTINE},
    concat_ws(' ', 'kind', g.aggkind, 'returns', pg_get_function_result(p.oid), 'state', format_type(g.aggtranstype, NULL),
      'by', g.aggtransfn::regproc, 'finally', g.aggfinalfn::regproc, 'combined by', g.aggcombinefn::regproc,
      'moving by', g.aggmtransfn::regproc, 'back by', g.aggminvtransfn::regproc, 'finally', g.aggmfinalfn::regproc,
      'sorted by', CASE WHEN g.aggsortop = 0 THEN '-' ELSE g.aggsortop::regoper::text END,
      'from ' || quote_literal(g.agginitval)),
    pg_get_userbyid(p.proowner)::text, true, NULL, NULL, NULL, NULL
  FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE ${SCHEMA} AND ${notOfExtension('pg_proc', 'p.oid')}`;

/** What capture and the fence put there is ours, wherever it stands. Only the whole definition words the condition. */
const triggers = (version: number): string => sql`
  SELECT 'trigger', format('%s of %I.%I', quote_ident(g.tgname), n.nspname, c.relname),
    concat_ws(' ', CASE WHEN g.tgconstraint <> 0 THEN 'constraint' END,
      CASE WHEN g.tgtype & 2 = 2 THEN 'before' WHEN g.tgtype & 64 = 64 THEN 'instead of' ELSE 'after' END,
      CASE WHEN g.tgtype & 4 = 4 THEN 'insert' END, CASE WHEN g.tgtype & 16 = 16 THEN 'update' END,
      'of ' || ${columnNames('g.tgrelid', 'g.tgattr::int2[]', 'by name')},
      CASE WHEN g.tgtype & 8 = 8 THEN 'delete' END, CASE WHEN g.tgtype & 32 = 32 THEN 'truncate' END,
      CASE WHEN g.tgtype & 1 = 1 THEN 'each row' ELSE 'each statement' END,
      CASE WHEN g.tgdeferrable THEN 'deferrable' END, CASE WHEN g.tginitdeferred THEN 'initially deferred' END,
      'old rows ' || quote_ident(g.tgoldtable), 'new rows ' || quote_ident(g.tgnewtable),
      CASE WHEN g.tgqual IS NOT NULL THEN 'with a condition' END, format('executes %I.%I', f.nspname, p.proname),
      'with ' || nullif(quote_literal(encode(g.tgargs, 'escape')), '''''')),
    NULL, true,
    CASE g.tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'for replicas only' ELSE 'always' END, NULL,
    CASE WHEN g.tgqual IS NOT NULL THEN substring(pg_get_triggerdef(g.oid) FROM ' WHEN [(](.*)[)] EXECUTE ') END,
    format('%1$I.%2$I AS old, %1$I.%2$I AS new', n.nspname, c.relname)
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
  WHERE NOT g.tgisinternal AND ${SCHEMA} AND f.nspname NOT IN (${literal(CAPTURE_SCHEMA)}, 'ibex')
    ${version >= 130000 ? 'AND g.tgparentid = 0' : ''}`;

const rules = sql`
  SELECT 'rule', format('%s of %I.%I', quote_ident(r.rulename), n.nspname, c.relname),
    concat_ws(' ', 'on', CASE r.ev_type WHEN '1' THEN 'select' WHEN '2' THEN 'update' WHEN '3' THEN 'insert' ELSE 'delete' END,
      CASE WHEN r.is_instead THEN 'instead' ELSE 'also' END), NULL, true,
    CASE r.ev_enabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'for replicas only' ELSE 'always' END, NULL,
    pg_get_ruledef(r.oid), format('%I.%I', n.nspname, c.relname)
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE r.rulename <> '_RETURN' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

const policies = sql`
  SELECT 'policy', format('%s of %I.%I', quote_ident(p.polname), n.nspname, c.relname),
    concat_ws(' ', CASE WHEN p.polqual IS NOT NULL THEN 'using' END, CASE WHEN p.polwithcheck IS NOT NULL THEN 'with check' END,
      'to', (SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END, ', ' ORDER BY pg_get_userbyid(o))
        FROM unnest(p.polroles) AS o)), NULL, true,
    format('%s for %s', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, p.polcmd), NULL,
    concat_ws(', ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)),
    format('%I.%I', n.nspname, c.relname)
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** What the application has the server do, in the columns of `CatalogObject`. */
export const codeQueries = (version: number): string[] => [
  functions(version),
  ...(version >= 140000 ? [bodies] : []),
  aggregates,
  triggers(version),
  rules,
  policies,
];
