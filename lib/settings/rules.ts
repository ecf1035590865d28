import type { SslMode } from '../../assets/agent/config';
import { agentRule } from './agent-rules';
import {
  arn,
  byDefault,
  flag,
  integer,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  secretArn,
  text,
  wordOr,
  type Rule,
} from './check';
import { ALARM_UNITS } from './alarm-names';
import { isCidr, overlap } from './cidr';
import { DEBIAN_12_PARAMETER, DEFAULT_NODE } from './defaults';
import { M6I_EBS_LIMITS } from './ebs-limits';
import { hostForSize } from './host-size';
import { destinations, networkRule } from './network-rules';
import { poolerRule } from './pooler-rules';
import { targetRule } from './target-rules';
import type { ForkSettings, ImageSettings, MigrationSettings, ResolvedSettings } from './types';

const cidr = text('must be an IPv4 network such as "203.0.113.0/24"', isCidr);
const port = integer('TCP port', 1, 65_535);
const sslmodes: readonly SslMode[] = ['disable', 'require', 'verify-ca', 'verify-full'];

const name = text(
  'must be 1 to 30 lower-case letters, digits and dashes, beginning with a letter, ending without a dash, and not beginning with "aws", "amazon" or "amzn" (reserved for documents of AWS)',
  /^(?!aws|amazon|amzn)[a-z]([a-z0-9-]{0,28}[a-z0-9])?$/,
);

const sourceVersion: Rule<number> = (value, path, mistakes) => {
  const old = typeof value === 'number' && /^9\.[1-6]$/.test(String(value));
  return old
    ? value
    : integer('major version of PostgreSQL; 9.1 to 9.6 with source.assessOnly', 10, 17)(value, path, mistakes);
};

const reachable = wordOr(
  'anywhere',
  "a list of the source's networks: every address is opened to the host only by that word",
  destinations,
);

const fork = object<ForkSettings>({
  cidrs: optional(reachable),
  port: optional(port),
  sslmode: optional(oneOf(...sslmodes)),
  certificates: optional(oneOf('public', 'rds')),
  secretArn: optional(secretArn),
});

const sourceFields = object<Omit<ResolvedSettings['source'], 'fork'> & { readonly fork?: ForkSettings }>({
  version: sourceVersion,
  assessOnly: byDefault(false, flag),
  sizeGiB: optional(integer('GiB', 1, 65_536)),
  reach: oneOf('public', 'private'),
  cidrs: reachable,
  port: byDefault(5432, port),
  sslmode: byDefault('verify-full', oneOf(...sslmodes)),
  certificates: byDefault('public', oneOf('public', 'rds')),
  secretArn: optional(secretArn),
  fork: optional(fork),
});

/** What is not said of the fork is as it is with the source. */
const source: Rule<ResolvedSettings['source']> = (value, path, mistakes) => {
  const fields = sourceFields(value, path, mistakes);
  if (fields?.fork === undefined) return fields as ResolvedSettings['source'];
  const { cidrs, port: sourcePort, sslmode, certificates } = fields;
  return { ...fields, fork: { cidrs, port: sourcePort, sslmode, certificates, ...fields.fork } };
};

const ssmImage = object<{ readonly ssmParameter: string }>({
  ssmParameter: text(`must be the name of an SSM parameter, such as "${DEBIAN_12_PARAMETER}"`, /^\/[\w.\-/]+$/),
});
const amiImage = object<{ readonly amiIds: Readonly<Record<string, string>> }>({
  amiIds: mapOf(
    text('must be a Region such as "eu-west-1"', /^[a-z]{2}(-[a-z]+)+-\d$/),
    text('must be an image id such as "ami-0123456789abcdef0"', /^ami-[0-9a-f]{8,17}$/),
    40,
  ),
});
const image: Rule<ImageSettings> = (value, path, mistakes) =>
  typeof value === 'object' && value !== null && 'amiIds' in value
    ? amiImage(value, path, mistakes)
    : ssmImage(value, path, mistakes);

/** Networks that an NLB takes as targets outside its VPC (its user guide: RFC 1918 and RFC 6598). */
const PRIVATE_NETWORKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'];

const endpoint = object<ResolvedSettings['endpoint']>({
  scheme: oneOf('internal', 'internet-facing'),
  allowedCidrs: listOf(cidr, { min: 1, max: 50 }),
  allowEveryAddress: byDefault(false, flag),
  port: byDefault(5432, port),
  idleTimeoutSeconds: byDefault(6_000, integer('seconds', 60, 6_000)),
  readerPort: optional(port),
  privateName: optional(
    object<NonNullable<ResolvedSettings['endpoint']['privateName']>>({
      hostedZoneId: text('must be the id of a hosted zone, such as "Z0123456789ABCDEFGHIJ"', /^Z[A-Z0-9]{5,31}$/),
      zoneName: text(
        'must be the name of a zone, such as "internal.example.org"',
        /^([a-z0-9_-]{1,63}\.)*[a-z]{2,63}$/,
      ),
      recordName: text('must be one part of a name, such as "db"', /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    }),
  ),
  pooler: optional(poolerRule(image)),
  source: optional(
    object<NonNullable<ResolvedSettings['endpoint']['source']>>({
      addresses: listOf(
        text(
          'must be a private IPv4 address, such as "10.20.0.5": NLB takes no other target outside its VPC',
          (value) => isCidr(`${value}/32`) && PRIVATE_NETWORKS.some((network) => overlap(network, `${value}/32`)),
        ),
        { min: 1, max: 10 },
      ),
      port: byDefault(5432, port),
      otherPort: port,
    }),
  ),
});

const sha256 = text('must be a SHA-256 sum: 64 hexadecimal digits', /^[0-9a-f]{64}$/);
const sizes = Object.keys(M6I_EBS_LIMITS);
const host = object<ResolvedSettings['host']>({
  instanceType: byDefault(
    'm6i.4xlarge',
    text(`must be one of ${sizes.join(', ')}`, (value) => sizes.includes(value)),
  ),
  volume: byDefault(
    {},
    object<ResolvedSettings['host']['volume']>({
      sizeGiB: byDefault(500, integer('GiB', 10, 65_536)),
      iops: byDefault(6_000, integer('I/O operations a second', 3_000, 80_000)),
      throughputMiBs: byDefault(500, integer('MiB a second', 125, 2_000)),
    }),
  ),
  image: byDefault({ ssmParameter: DEBIAN_12_PARAMETER }, image),
  postgresMajor: byDefault(11, oneOf(11, 15)),
  node: byDefault(
    DEFAULT_NODE,
    object<ResolvedSettings['host']['node']>({
      url: text('must be an https address of a tar file', /^https:\/\/[^\s'"]+\.(tar\.xz|tar\.gz|tgz)$/),
      sha256,
    }),
  ),
  ssmAgent: byDefault(
    {},
    object<ResolvedSettings['host']['ssmAgent']>({
      version: byDefault('3.3.2746.0', text('must be 3.3.2746.0 or newer', isRecentSsmAgent)),
      sha256: optional(sha256),
    }),
  ),
  terminationProtection: byDefault(true, flag),
});

function isRecentSsmAgent(version: string): boolean {
  if (!/^\d+(\.\d+){3}$/.test(version)) return false;
  return version.localeCompare('3.3.2746.0', 'en', { numeric: true }) >= 0;
}

const positive: Rule<number> = (value, path, mistakes) => {
  if (typeof value !== 'number' || !(value > 0)) mistakes.add(path, value, 'must be a number above 0');
  return value as number;
};

const notifications = object<ResolvedSettings['notifications']>({
  emails: byDefault([], listOf(text('must be an e-mail address', /^[^\s@,;]+@[^\s@,;]+\.[^\s@,;]+$/), { max: 20 })),
  approvers: byDefault(
    [],
    listOf(arn('(iam|sts):[a-z0-9-]*:\\d{12}', 'arn:aws:iam::123456789012:role/operators'), { max: 10 }),
  ),
  thresholds: byDefault({}, mapOf(oneOf(...Object.keys(ALARM_UNITS)), positive, 40)),
});

const days = integer('days', 1, 3_650);
const artifacts = object<ResolvedSettings['artifacts']>({
  reportDays: byDefault(365, days),
  dataDays: byDefault(14, days),
});

const tags = mapOf(
  text('must be 1 to 128 characters, not beginning with "aws:"', /^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u),
  text('must be at most 256 letters, digits, spaces and _.:/=+-@', /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u),
  40,
);

/** Every rule about one field. */
const fields = object<ResolvedSettings>({
  name,
  source,
  target: byDefault({}, targetRule),
  network: byDefault({}, networkRule),
  endpoint,
  host: byDefault({}, host),
  agent: byDefault({}, agentRule),
  notifications: byDefault({}, notifications),
  artifacts: byDefault({}, artifacts),
  tags: byDefault({}, tags),
});

/** What is not said of the host follows from the size of the database, where that is said. */
export const settingsRule: Rule<ResolvedSettings> = (value, path, mistakes) => {
  const { source, host } = (value ?? {}) as Partial<MigrationSettings>;
  if (typeof source?.sizeGiB !== 'number') return fields(value, path, mistakes);
  const bySize = hostForSize(source.sizeGiB, host?.instanceType);
  const completed = { ...bySize, ...host, volume: { ...bySize.volume, ...host?.volume } };
  return fields({ ...(value as object), host: completed }, path, mistakes);
};
