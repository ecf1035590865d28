import type { ResolvedTarget } from './settings';

type Engine = ResolvedTarget['engine'];
type Value = string | Readonly<Record<Engine, string>>;

/** What the target is tuned for: taking the data, or the applications. */
export type Profile = 'load' | 'serve';

/** Which parameter group holds a value: Aurora has one for the cluster and one for its instances, RDS only the latter. */
export type ParameterLevel = 'cluster' | 'instance';

/** One value that differs from the engine's default, with what it is for. */
export interface DatabaseParameter {
  readonly name: string;
  /** Engines that have it. @default both */
  readonly engine?: Engine;
  /** Where Aurora has it. */
  readonly level: ParameterLevel;
  /** `static` takes effect with a restart, so it is the same in both profiles and there from the start. */
  readonly applies: 'static' | 'dynamic';
  /** Value for the applications; also what the template carries. */
  readonly serve: Value;
  /** Value while loading. @default that of `serve` */
  readonly load?: Value;
  readonly reason: string;
}

/**
 * What differs from the defaults of the engines. Aurora has no max_wal_size, checkpoint_* or fsync;
 * session_replication_role must never stand here, since it would switch off triggers and foreign keys for the
 * applications too. No profile touches what makes a commit durable.
 */
export const DATABASE_PARAMETERS: readonly DatabaseParameter[] = [
  {
    name: 'rds.force_ssl',
    level: 'cluster',
    applies: 'dynamic',
    serve: '1',
    reason: 'No password and no row crosses the network in clear; 15 and 16 would allow it.',
  },
  {
    name: 'synchronous_commit',
    level: 'cluster',
    applies: 'dynamic',
    serve: 'on',
    reason: 'What the target has committed is forgotten on the source.',
  },
  {
    name: 'shared_preload_libraries',
    level: 'cluster',
    applies: 'static',
    serve: 'pg_stat_statements',
    reason: 'Statements can be compared with the source from the first minute; later it would cost a restart.',
  },
  {
    name: 'max_locks_per_transaction',
    level: 'cluster',
    applies: 'static',
    serve: '256',
    reason: 'Fence, constraints and cleanup lock every table and partition in one transaction.',
  },
  {
    name: 'tcp_keepalives_idle',
    level: 'cluster',
    applies: 'dynamic',
    serve: '30',
    reason: 'Keeps a silent connection known to the load balancer and to NAT (350 s).',
  },
  {
    name: 'tcp_keepalives_interval',
    level: 'cluster',
    applies: 'dynamic',
    serve: '10',
    reason: 'With the count: a dead client frees its locks within a minute.',
  },
  {
    name: 'tcp_keepalives_count',
    level: 'cluster',
    applies: 'dynamic',
    serve: '3',
    reason: 'See tcp_keepalives_interval.',
  },
  {
    name: 'log_lock_waits',
    level: 'instance',
    applies: 'dynamic',
    serve: '1',
    reason: 'Says who waited for whom when cutover or the first hours after it are slow.',
  },
  {
    name: 'log_min_duration_statement',
    level: 'instance',
    applies: 'dynamic',
    load: '-1',
    serve: '2000',
    reason: 'Slow statements of the applications are logged; the hours of COPY and index builds are not.',
  },
  {
    name: 'maintenance_work_mem',
    level: 'cluster',
    applies: 'dynamic',
    // Kilobytes out of bytes: an eighth of the memory for eight builds at once, of which Aurora keeps three quarters
    // for its cache; a quarter on RDS, whose cache has a quarter.
    load: { 'aurora-postgresql': '{DBInstanceClassMemory/65536}', postgres: '{DBInstanceClassMemory/32768}' },
    serve: '{DBInstanceClassMemory/262144}',
    reason: 'An index is built without temporary files; afterwards that memory belongs to the queries.',
  },
  {
    name: 'max_parallel_maintenance_workers',
    level: 'cluster',
    applies: 'dynamic',
    load: '4',
    serve: '2',
    reason: 'While loading nobody else needs the processors.',
  },
  {
    name: 'max_wal_size',
    engine: 'postgres',
    level: 'instance',
    applies: 'dynamic',
    load: '16384',
    serve: '4096',
    reason: 'A load that fills it checkpoints all the time, and writes every page whole after each (MiB).',
  },
  {
    name: 'checkpoint_timeout',
    engine: 'postgres',
    level: 'instance',
    applies: 'dynamic',
    load: '1800',
    serve: '300',
    reason: 'Fewer checkpoints while loading; a recovery may take long then, since nobody waits for it (seconds).',
  },
];

const levelOf = (engine: Engine, parameter: DatabaseParameter): ParameterLevel =>
  engine === 'postgres' ? 'instance' : parameter.level;

function select(engine: Engine, level: ParameterLevel): readonly DatabaseParameter[] {
  return DATABASE_PARAMETERS.filter(
    (parameter) => (parameter.engine ?? engine) === engine && levelOf(engine, parameter) === level,
  );
}

const valueFor = (engine: Engine, value: Value): string => (typeof value === 'string' ? value : value[engine]);

/** What the template carries for one parameter group: everything, as the applications need it. */
export function templateParameters(engine: Engine, level: ParameterLevel): Record<string, string> {
  return Object.fromEntries(select(engine, level).map(({ name, serve }) => [name, valueFor(engine, serve)]));
}

/** What one profile sets in one parameter group: only values in which the profiles differ, all of them dynamic. */
export function profileParameters(engine: Engine, level: ParameterLevel, profile: Profile): Record<string, string> {
  return Object.fromEntries(
    select(engine, level).flatMap(({ name, serve, load }) =>
      load === undefined ? [] : [[name, valueFor(engine, profile === 'load' ? load : serve)]],
    ),
  );
}
