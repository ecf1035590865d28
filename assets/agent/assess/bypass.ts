import type { Client } from 'pg';
import type { Context } from '../context';
import { OWN_SCHEMAS } from '../catalog/schemas';
import { literal, sql } from '../sql';
import { askFor, refusal, warning, type Check } from './check';

const OURS = OWN_SCHEMAS.map(literal).join(', ');

const SUBSCRIPTIONS = sql`
  SELECT subname AS name FROM pg_subscription
  WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1`;

const subscriptions = askFor<{ name: string }>('subscriptions', 'source', SUBSCRIPTIONS, (row) =>
  refusal(
    `subscription "${row.name}" writes the source in replica role, which no trigger sees; drop it, or migrate its publisher`,
  ),
);

const PUBLICATIONS = sql`
  SELECT pubname AS name, puballtables AS "all" FROM pg_publication ORDER BY 1`;

const publications = askFor<{ name: string; all: boolean }>('publications', 'source', PUBLICATIONS, (row) =>
  row.all
    ? refusal(
        `publication "${row.name}" is FOR ALL TABLES: it would refuse deletes from Bucardo's own tables, which have no replica identity; make it FOR TABLE …`,
      )
    : warning(`publication "${row.name}" is not migrated; make it on the target after the cutover`),
);

/** Triggers of ours that are off let changes pass; those of the application that fire always would fire twice. */
const TRIGGERS = sql`
  SELECT t.tgname AS name, format('%I.%I', n.nspname, c.relname) AS relation, f.nspname IN (${OURS}) AS ours,
    t.tgenabled AS enabled
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
  WHERE NOT t.tgisinternal AND n.nspname <> ALL ($1::text[])
    AND ((f.nspname IN (${OURS}) AND t.tgenabled NOT IN ('O', 'A'))
      OR (f.nspname NOT IN (${OURS}) AND t.tgenabled IN ('A', 'R')))
  ORDER BY 2, 1`;

const triggers = askFor<{ name: string; relation: string; ours: boolean }>('triggers', 'source', TRIGGERS, (row) =>
  row.ours
    ? refusal(`trigger "${row.name}" of ${row.relation} is disabled, so that changes are not captured; enable it`)
    : refusal(
        `trigger "${row.name}" of ${row.relation} is ENABLE ALWAYS or REPLICA: it would fire again for each row that is applied on the target; make it plain ENABLE`,
      ),
);

const RULES = sql`
  SELECT r.rulename AS name, format('%I.%I', n.nspname, c.relname) AS relation
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND r.ev_enabled IN ('A', 'R') AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[])
  ORDER BY 2, 1`;

const rules = askFor<{ name: string; relation: string }>('rules', 'source', RULES, (row) =>
  refusal(
    `rule "${row.name}" of ${row.relation} is ENABLE ALWAYS or REPLICA and would act again on the target; make it plain ENABLE`,
  ),
);

/** Roles whose sessions write past triggers, by a setting that holds in this database. */
export const REPLICA_ROLES = sql`
  SELECT coalesce(r.rolname, 'all roles') AS role, setting
  FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c (setting)
  LEFT JOIN pg_roles r ON r.oid = s.setrole
  WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND setting ~* '^session_replication_role=' AND setting !~* '=(origin|local)$' ORDER BY 1`;

const replicaRoles = askFor<{ role: string; setting: string }>(
  'roles in replica role',
  'source',
  REPLICA_ROLES,
  (row) => refusal(`${row.role} has ${row.setting} by setting, so that triggers do not see its changes; reset it`),
);

/** Functions that write past triggers, whoever calls them. */
const REPLICA_FUNCTIONS = sql`
  SELECT p.oid::regprocedure::text AS name, setting
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace CROSS JOIN LATERAL unnest(p.proconfig) AS c (setting)
  WHERE setting ~* '^session_replication_role=' AND setting !~* '=(origin|local)$' AND n.nspname NOT IN (${OURS}) ORDER BY 1`;

const replicaFunctions = askFor<{ name: string; setting: string }>(
  'functions in replica role',
  'source',
  REPLICA_FUNCTIONS,
  ({ name, setting }) =>
    refusal(
      `function ${name} has ${setting}, so that triggers do not see what it changes; ALTER FUNCTION … RESET session_replication_role`,
    ),
);

const EVENT_TRIGGERS = `SELECT evtname AS name FROM pg_event_trigger WHERE evtenabled <> 'D' ORDER BY 1`;

const eventTriggers = askFor<{ name: string }>('event triggers', 'source', EVENT_TRIGGERS, (row) =>
  warning(`event trigger "${row.name}" is not migrated, and may object to the triggers that capture makes`),
);

/** Another tool's schema of our name, or what an earlier migration left. Our own are told by their comment. */
const LEFTOVERS = sql`
  SELECT n.nspname AS name, coalesce(obj_description(n.oid, 'pg_namespace'), '') AS comment
  FROM pg_namespace n WHERE n.nspname = 'bucardo'`;

const leftovers: Check = {
  gate: 'schema bucardo',
  run: async (ends) => {
    const { config, state } = ends.context;
    const started = (await state.phase('capture')) !== undefined;
    return askFor<{ comment: string }>('', 'source', LEFTOVERS, (row) =>
      row.comment.startsWith(`Ibex ${config.migration}:`) || started
        ? undefined
        : refusal(
            'schema "bucardo" is on the source already and is not of this migration; stop what uses it, drop its triggers and DROP SCHEMA bucardo CASCADE',
          ),
    ).run(ends);
  },
};

export const bypassChecks: readonly Check[] = [
  subscriptions,
  publications,
  triggers,
  rules,
  replicaRoles,
  replicaFunctions,
  eventTriggers,
  leftovers,
];

/** Ways past the triggers that may open later, one line each: asked again and again while the sync runs. */
export async function bypassWatch(context: Context, source: Client): Promise<string[]> {
  const ends = { context, source, target: source, sourceVersion: 0, targetVersion: 0, relations: [] };
  const answers = [];
  const checks = [subscriptions, publications, triggers, rules, replicaRoles, replicaFunctions];
  for (const check of checks) answers.push(await check.run(ends));
  return answers.flatMap(({ findings }) =>
    findings.flatMap(({ severity, text }) => (severity === 'refusal' ? [text] : [])),
  );
}
