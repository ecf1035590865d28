import type { ResolvedSettings, ResolvedTarget } from '../settings';
import { POOLER_COUNT } from '../settings/pooler-types';
import { PRICES } from './prices';

/** In Counts: GiB of the disks that instances boot from. */
export const ROOT_VOLUMES = 'GiB of root volumes, gp3';

/** One line of the estimate. */
export interface EstimateLine {
  /** Which stack it is paid for: `target` stays, `migration` goes after cleanup. */
  readonly stack: 'target' | 'migration';
  readonly what: string;
  /** Dollars a month; undefined where the table knows no price. */
  readonly monthly: number | undefined;
}

/** Numbers of resources by type, of one stack. */
export type Counts = Readonly<Record<string, number>>;

const hours = PRICES.hoursPerMonth;
const above = (value: number, included: number): number => Math.max(0, value - included);

/**
 * What an environment costs a month while it stands, without what is paid by use: data through NAT, load balancer and
 * endpoints, I/O of standard storage, backups, logs and metrics. `databaseGiB` is the size of the data, for Aurora.
 */
export function estimate(
  settings: ResolvedSettings,
  counts: { readonly target: Counts; readonly migration: Counts },
  databaseGiB: number,
): readonly EstimateLine[] {
  const { host } = settings;
  const { volume } = host;
  const target = (what: string, monthly: number | undefined): EstimateLine => ({ stack: 'target', what, monthly });
  const migration = (what: string, monthly: number | undefined): EstimateLine => ({
    stack: 'migration',
    what,
    monthly,
  });
  return [
    ...database(settings.target, databaseGiB).map(([what, monthly]) => target(what, monthly)),
    ...pooler(settings).map(([what, monthly]) => target(what, monthly)),
    ...common(counts.target).map(([what, monthly]) => target(what, monthly)),
    migration(`host ${host.instanceType}`, instanceMonthly(host.instanceType)),
    migration(
      `data volume, gp3 of ${volume.sizeGiB} GiB, ${volume.iops} I/O and ${volume.throughputMiBs} MiB a second`,
      volume.sizeGiB * PRICES.ebsGp3 +
        above(volume.iops, 3_000) * PRICES.ebsGp3Iops +
        above(volume.throughputMiBs, 125) * PRICES.ebsGp3Throughput,
    ),
    ...common(counts.migration).map(([what, monthly]) => migration(what, monthly)),
  ];
}

type Item = readonly [what: string, monthly: number | undefined];

function database(target: ResolvedTarget, databaseGiB: number): readonly Item[] {
  const servers = target.readers + 1;
  if (target.engine === 'postgres') {
    const zones = target.multiAz ? 2 : 1;
    const hourly = PRICES.rdsServer[target.instanceClass];
    const { type, sizeGiB, iops, throughputMiBs } = target.storage;
    const gp3 = sizeGiB * PRICES.rdsStorage + above(iops ?? 0, 12_000) * PRICES.rdsGp3Iops;
    // The prices of io2, and of throughput beyond what gp3 gives, are not in the table.
    const known = type === 'gp3' && above(throughputMiBs ?? 0, 500) === 0;
    return [
      [
        `${servers} × ${target.instanceClass}, RDS for PostgreSQL${target.multiAz ? ', with a standby' : ''}`,
        hourly === undefined ? undefined : hourly * hours * (target.readers + zones),
      ],
      [`volume, ${type} of ${sizeGiB} GiB`, known ? gp3 * (target.readers + zones) : undefined],
    ];
  }
  const factor = target.storage === 'io-optimized' ? PRICES.auroraIoOptimizedFactor : 1;
  const hourly = PRICES.auroraServer[target.instanceClass];
  const server: Item = target.serverless
    ? [
        `${servers} × db.serverless at its least, ${target.serverless.minCapacity} ACU`,
        target.serverless.minCapacity * PRICES.auroraCapacityUnit[target.storage] * hours * servers,
      ]
    : [
        `${servers} × ${target.instanceClass}, Aurora PostgreSQL, ${target.storage}`,
        hourly === undefined ? undefined : hourly * factor * hours * servers,
      ];
  return [
    server,
    [`${databaseGiB} GiB of data, ${target.storage}`, databaseGiB * PRICES.auroraStorage[target.storage]],
  ];
}

function pooler({ endpoint }: ResolvedSettings): readonly Item[] {
  if (!endpoint.pooler) return [];
  const { instanceType } = endpoint.pooler;
  const one = instanceMonthly(instanceType);
  return [[`${POOLER_COUNT} × ${instanceType}, pooler`, one === undefined ? undefined : one * POOLER_COUNT]];
}

/** What is paid for each resource of a kind, whatever its size. */
function common(counts: Counts): readonly Item[] {
  const kinds: readonly (readonly [type: string, name: string, monthly: number])[] = [
    ['AWS::EC2::NatGateway', 'NAT gateway', PRICES.natGateway * hours],
    ['AWS::EC2::EIP', 'public address', PRICES.publicAddress * hours],
    ['AWS::ElasticLoadBalancingV2::LoadBalancer', 'load balancer', PRICES.loadBalancer * hours],
    ['interface endpoint in a zone', 'interface endpoint in a zone', PRICES.interfaceEndpoint * hours],
    [ROOT_VOLUMES, ROOT_VOLUMES, PRICES.ebsGp3],
    ['AWS::KMS::Key', 'key', PRICES.key],
    ['AWS::SecretsManager::Secret', 'secret', PRICES.secret],
    ['AWS::CloudWatch::Alarm', 'alarm', PRICES.alarm],
  ];
  return kinds.flatMap(([type, name, monthly]): Item[] => {
    const count = counts[type] ?? 0;
    return count === 0 ? [] : [[`${count} × ${name}`, count * monthly]];
  });
}

/** A month of an EC2 instance; undefined where the table knows no price of its family. */
function instanceMonthly(instanceType: string): number | undefined {
  const [family = '', size = ''] = instanceType.split('.');
  const large = PRICES.ec2Large[family];
  const larges: Readonly<Record<string, number>> = { small: 0.25, medium: 0.5, large: 1, xlarge: 2 };
  const times = larges[size] ?? 2 * Number(size.replace('xlarge', ''));
  return large === undefined ? undefined : large * times * hours;
}
