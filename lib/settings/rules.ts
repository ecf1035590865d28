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
  type Rule,
} from './check';
import { isCidr, prefixOf } from './cidr';
import { DEBIAN_12_PARAMETER, DEFAULT_NODE } from './defaults';
import { M6I_EBS_LIMITS } from './ebs-limits';
import type { ImageSettings, ResolvedSettings } from './types';

const cidr = text('must be an IPv4 network such as "203.0.113.0/24"', isCidr);
const port = integer('TCP port', 1, 65_535);
const sslmodes: readonly SslMode[] = ['disable', 'require', 'verify-ca', 'verify-full'];

const name = text(
  'must be 1 to 30 lower-case letters, digits and dashes, beginning with a letter, ending without a dash, and not beginning with "aws", "amazon" or "amzn" (reserved for documents of AWS)',
  /^(?!aws|amazon|amzn)[a-z]([a-z0-9-]{0,28}[a-z0-9])?$/,
);

const source = object<ResolvedSettings['source']>({
  version: integer('major version of PostgreSQL', 10, 17),
  reach: oneOf('public', 'private'),
  cidrs: byDefault([], listOf(cidr, { max: 20 })),
  port: byDefault(5432, port),
  sslmode: byDefault('verify-full', oneOf(...sslmodes)),
  secretArn: optional(secretArn),
});

const auroraClass =
  /^db\.((r5|r6g|r6gd|r6i|r7g|r7i|r8g|r8gd|x2g)\.(large|(2|4|8|12|16|24|32|48)?xlarge)|(t3|t4g)\.(medium|large))$/;
const window =
  /^(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d-(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d$/;

const target = object<ResolvedSettings['target']>({
  engine: byDefault('aurora-postgresql', oneOf('aurora-postgresql')),
  version: byDefault(
    '17.9',
    text('must be "major.minor" with a major from 15 to 18, such as "17.9"', /^1[5-8]\.\d{1,2}$/),
  ),
  instanceClass: byDefault(
    'db.r7g.2xlarge',
    text('must be a class that Aurora PostgreSQL offers, such as "db.r7g.2xlarge"; it has no m classes', auroraClass),
  ),
  readers: byDefault(0, integer('readers', 0, 15)),
  storage: byDefault('io-optimized', oneOf('io-optimized', 'standard')),
  database: byDefault(
    'app',
    text('must be a letter and up to 62 letters, digits and underscores', /^[a-zA-Z]\w{0,62}$/),
  ),
  deletionProtection: byDefault(true, flag),
  backupDays: byDefault(7, integer('days', 1, 35)),
  maintenanceWindow: byDefault('sun:03:00-sun:04:00', text('must look like "sun:03:00-sun:04:00" (UTC)', window)),
});

const network = object<ResolvedSettings['network']>({
  cidr: byDefault(
    '10.64.0.0/16',
    text(
      'must be an IPv4 network from /16 to /24, such as "10.64.0.0/16"',
      (value) => isCidr(value) && prefixOf(value) >= 16 && prefixOf(value) <= 24,
    ),
  ),
  availabilityZones: optional(
    listOf(text('must be the name of an availability zone, such as "eu-west-1a"', /^[a-z]{2}(-[a-z]+)+-\d[a-z]$/), {
      min: 2,
      max: 3,
    }),
  ),
  natGateways: byDefault(1, integer('NAT gateways', 1, 3)),
  flowLogDays: byDefault(30, oneOf(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)),
});

const endpoint = object<ResolvedSettings['endpoint']>({
  scheme: oneOf('internal', 'internet-facing'),
  allowedCidrs: listOf(cidr, { min: 1, max: 50 }),
  allowEveryAddress: byDefault(false, flag),
  port: byDefault(5432, port),
  idleTimeoutSeconds: byDefault(6_000, integer('seconds', 60, 6_000)),
});

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
      sha256: text('must be a SHA-256 sum: 64 hexadecimal digits', /^[0-9a-f]{64}$/),
    }),
  ),
  ssmAgentVersion: byDefault('3.3.2746.0', text('must be 3.3.2746.0 or newer', isRecentSsmAgent)),
  terminationProtection: byDefault(true, flag),
});

function isRecentSsmAgent(version: string): boolean {
  if (!/^\d+(\.\d+){3}$/.test(version)) return false;
  return version.localeCompare('3.3.2746.0', 'en', { numeric: true }) >= 0;
}

const notifications = object<ResolvedSettings['notifications']>({
  emails: byDefault([], listOf(text('must be an e-mail address', /^[^\s@,;]+@[^\s@,;]+\.[^\s@,;]+$/), { max: 20 })),
  approvers: byDefault(
    [],
    listOf(arn('(iam|sts):[a-z0-9-]*:\\d{12}', 'arn:aws:iam::123456789012:role/operators'), { max: 10 }),
  ),
});

const tags = mapOf(
  text('must be 1 to 128 characters, not beginning with "aws:"', /^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u),
  text('must be at most 256 letters, digits, spaces and _.:/=+-@', /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u),
  40,
);

/** Every rule about one field. */
export const settingsRule = object<ResolvedSettings>({
  name,
  source,
  target: byDefault({}, target),
  network: byDefault({}, network),
  endpoint,
  host: byDefault({}, host),
  agent: byDefault({}, agentRule),
  notifications: byDefault({}, notifications),
  tags: byDefault({}, tags),
});
