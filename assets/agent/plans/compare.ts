import type { Client } from 'pg';
import { judge, readLoad } from '../brake/readings';
import { hiddenSchemas } from '../catalog/schemas';
import type { AgentConfig } from '../config';
import { oneLine } from '../errors';
import { RelationsOf, todoForRefusal } from './advice';
import { reasonsFor } from './judge';
import { parseStatement, type Parsed } from './parsed';
import type { Plan } from './plan';
import { Planner, type Values } from './planner';
import { sampleValues } from './sample-values';
import { searchPathOf } from './search-path';
import type { Statement } from './statements';

/** What was found out about one statement. */
export interface Comparison {
  readonly id: string;
  readonly statement: string;
  /** @default unknown */
  readonly calls?: number;
  /** `failed`: the target refuses what the source plans. `unknown`: could not be compared. */
  readonly verdict: 'equal' | 'worse' | 'failed' | 'unknown';
  readonly reasons: readonly string[];
  readonly todo: readonly string[];
  /** Why it was not run; absent when it was. */
  readonly notMeasured?: string;
  readonly source?: Plan;
  readonly target?: Plan;
}

/** What all comparisons of a run share. */
export interface Comparing {
  readonly source: Client;
  readonly target: Client;
  readonly config: Pick<AgentConfig, 'plans' | 'brake' | 'excludeSchemas'>;
  /** Parameters of the planner that differ. */
  readonly parameters: readonly string[];
  /** What measuring has taken of the source so far; milliseconds. */
  spentMs: number;
}

/**
 * Plans, and where that is safe runs, one statement on both ends. Throws only when a connection is lost.
 *
 * @returns undefined for one of our login that touches nothing of the application: it is most likely ours
 */
export async function compareStatement(comparing: Comparing, statement: Statement): Promise<Comparison | undefined> {
  const { id, shown, calls } = statement;
  const known = { id, statement: shown, ...(calls !== undefined && { calls }) };
  const unknown = (why: string): Comparison => ({ ...known, verdict: 'unknown', reasons: [why], todo: [] });
  const { timeoutMs } = comparing.config.plans;
  const roles = await rolesOf(comparing, statement);
  if (typeof roles === 'string') return unknown(roles);
  let here: Planner | undefined;
  let there: Planner | undefined;
  try {
    const searchPath = statement.searchPath ?? (await searchPathOf(comparing.source, roles.role));
    there = await Planner.open(comparing.source, statement.text, { role: roles.source, searchPath }, timeoutMs);
    const refused = await there.prepare().then(() => undefined, oneLine);
    if (refused !== undefined) return unknown(`the source does not plan it: ${refused}`);
    const { schemas } = await there.plan(undefined);
    const hidden = hiddenSchemas(comparing.config);
    const ofApplication = schemas.some(
      (schema) => !/^pg_|^information_schema$/.test(schema) && !hidden.includes(schema),
    );
    if (!ofApplication && roles.ours && calls !== undefined) return undefined;
    here = await Planner.open(comparing.target, statement.text, { role: roles.target, searchPath }, timeoutMs);
    return { ...known, ...(await planBoth(comparing, statement, there, here)) };
  } catch (error) {
    return unknown(oneLine(error));
  } finally {
    await there?.close();
    await here?.close();
  }
}

const CAN_BECOME = `
  SELECT current_user AS me, EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS known,
    coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = $1), false) AS may`;

interface Roles {
  /** Whose search path counts. */
  readonly role: string;
  /** Whether it is our login's own. */
  readonly ours: boolean;
  /** Whom our login becomes there. @default it stays itself */
  readonly source: string | undefined;
  readonly target: string | undefined;
}

/** Or why the statement cannot be planned as its role. */
async function rolesOf({ source, target }: Comparing, { role }: Statement): Promise<Roles | string> {
  const ask = async (client: Client): Promise<{ me: string; known: boolean; may: boolean }> =>
    (await client.query(CAN_BECOME, [role ?? ''])).rows[0] as { me: string; known: boolean; may: boolean };
  const [there, here] = [await ask(source), await ask(target)];
  if (role === undefined || role === there.me) {
    // The login that moves the database stands for itself on either end.
    return { role: there.me, ours: true, source: undefined, target: here.may ? role : undefined };
  }
  const may = (end: string, asked: { known: boolean; may: boolean }): string | undefined => {
    if (!asked.known) return `role ${role} is not on the ${end}`;
    return asked.may ? undefined : `our login on the ${end} is no member of ${role}: GRANT that`;
  };
  return may('source', there) ?? may('target', here) ?? { role, ours: false, source: role, target: role };
}

type Outcome = Omit<Comparison, 'id' | 'statement' | 'calls'>;

const codeOf = (error: unknown): string | undefined => (error as { code?: string } | undefined)?.code;

async function planBoth(comparing: Comparing, statement: Statement, there: Planner, here: Planner): Promise<Outcome> {
  const failed = (error: unknown, source?: Plan): Outcome => ({
    verdict: 'failed',
    reasons: [`the target refuses it: ${oneLine(error)} (${codeOf(error) ?? 'no code'})`],
    todo: [todoForRefusal(codeOf(error))],
    ...(source && { source }),
  });
  let types: readonly string[];
  try {
    types = await here.prepare();
  } catch (error) {
    return failed(error);
  }
  const parsed = await parseStatement(comparing.target, here, types).catch((error: unknown): Parsed => ({
    notReading: `it cannot be looked into: ${oneLine(error)}`,
    meanings: new Map(),
  }));
  await Promise.all([there.readOnly(), here.readOnly()]);
  let values: Values =
    statement.values ??
    (await there
      .aside(() => sampleValues(comparing.source, comparing.target, parsed.meanings, types.length))
      // Such as of arrays of arrays, whose text cannot be read so.
      .catch(() => undefined));
  if (
    values !== undefined &&
    (await there.plan(values).then(
      () => false,
      () => true,
    ))
  )
    values = undefined;
  const planned = await there.plan(values);
  let target: Plan;
  try {
    target = await here.plan(values);
  } catch (error) {
    // A message about a value would show it.
    return failed(values === undefined ? error : withoutMessage(error), planned);
  }
  const why = whyNotMeasured(comparing, parsed, values, types.length);
  const measured: Measured = why === undefined ? await measure(comparing, there, here, values) : { notMeasured: why };
  const plans: Measured & { readonly source: Plan; readonly target: Plan } = { source: planned, target, ...measured };
  const relations = await RelationsOf.read(comparing.source, comparing.target, [plans.source, plans.target]);
  const reasons = [
    ...(plans.tooLong === undefined ? [] : [plans.tooLong]),
    ...reasonsFor(plans.source, plans.target, comparing.config.plans.worseFactor, (name) => relations.isSmall(name)),
  ];
  return {
    verdict: reasons.length > 0 ? 'worse' : 'equal',
    reasons,
    todo: reasons.length > 0 ? relations.todo(plans.source, plans.target, comparing.parameters) : [],
    ...(plans.notMeasured !== undefined && { notMeasured: plans.notMeasured }),
    source: plans.source,
    target: plans.target,
  };
}

const withoutMessage = (error: unknown): Error =>
  Object.assign(new Error('with values of the source it cannot be planned'), { code: codeOf(error) });

function whyNotMeasured(
  { config: { plans } }: Comparing,
  { notReading }: Parsed,
  values: Values,
  parameters: number,
): string | undefined {
  if (plans.timing === 'off') return 'agent.plans.timing is "off"';
  if (notReading !== undefined) return notReading;
  return values === undefined && parameters > 0 ? 'no values are known for its parameters' : undefined;
}

/** Why the source is to be left alone now; undefined when it is not. */
async function sparing({ source, config, spentMs }: Comparing): Promise<string | undefined> {
  if (config.plans.timing !== 'both') return 'agent.plans.timing is "target"';
  if (spentMs >= config.plans.sourceSeconds * 1000) return 'agent.plans.sourceSeconds are spent';
  const load = { ...(await readLoad(source)), queueBytes: 0, queueGrowth: 0, hostFreeBytes: Infinity };
  const { pace, reason } = judge(load, config.brake);
  return pace === 'free' ? undefined : reason;
}

/** Other work on the target makes one run slow, and not every one. */
const AGAIN = 2;

/** Measures again what seems slow: the best run counts. */
async function fairly({ config }: Comparing, source: Plan | undefined, measure: () => Promise<Plan>): Promise<Plan> {
  let best = await measure();
  const enough = source?.ms === undefined ? Infinity : source.ms * config.plans.worseFactor;
  for (let again = 0; again < AGAIN && (best.ms ?? 0) > enough; again += 1) {
    const next = await measure();
    if ((next.ms ?? 0) < (best.ms ?? 0)) best = next;
  }
  return best;
}

/** What running the statement gave. */
interface Measured {
  readonly source?: Plan;
  readonly target?: Plan;
  readonly notMeasured?: string;
  /** Why the target did not end, where the source did. */
  readonly tooLong?: string;
}

async function measure(comparing: Comparing, there: Planner, here: Planner, values: Values): Promise<Measured> {
  const spare = await sparing(comparing);
  let source: Plan | undefined;
  let notMeasured = spare && `not on the source: ${spare}`;
  if (spare === undefined) {
    const began = performance.now();
    try {
      source = await there.measure(values);
    } catch (error) {
      return {
        notMeasured: `on the source: ${codeOf(error) === '57014' ? 'it takes too long' : 'it fails when it is run'}`,
      };
    } finally {
      comparing.spentMs += performance.now() - began;
    }
  }
  try {
    const target = await fairly(comparing, source, () => here.measure(values));
    return { target, ...(source && { source }), ...(notMeasured !== undefined && { notMeasured }) };
  } catch (error) {
    const late = codeOf(error) === '57014';
    const tooLong = late
      ? `takes longer than ${comparing.config.plans.timeoutMs} ms`
      : `fails when it is run (${codeOf(error) ?? 'no code'})`;
    return source
      ? { source, tooLong: `${tooLong}; the source takes ${source.ms?.toFixed(1)} ms` }
      : { notMeasured: `on the target: ${tooLong}` };
  }
}
