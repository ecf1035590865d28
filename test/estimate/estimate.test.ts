import { estimate, type EstimateLine } from '../../lib/estimate/estimate';
import { PRICES } from '../../lib/estimate/prices';
import { estimateReport } from '../../lib/estimate/report';
import type { MigrationSettings } from '../../lib/settings';
import { DATABASE_CLASSES } from '../../lib/settings/database-classes';
import { resolved } from '../helpers/app';

const none = { target: {}, migration: {} };
const lines = (settings: Partial<MigrationSettings>, gib = 100): readonly EstimateLine[] =>
  estimate(resolved(settings), none, gib);
const monthly = (all: readonly EstimateLine[], what: RegExp): number | undefined => {
  const found = all.find((line) => what.test(line.what));
  if (!found) throw new Error(`no line like ${what} in ${all.map((line) => line.what).join('; ')}`);
  return found.monthly;
};

test('the table says of what day and Region it is', () => {
  expect(PRICES.asOf).toMatch(/^20\d\d-\d\d-\d\d$/);
  expect(PRICES.region).toBe('us-east-1');
});

test('Aurora: each server by its class, more with io-optimized, storage by the size of the data', () => {
  const standard = lines({ target: { instanceClass: 'db.r7g.large', storage: 'standard', readers: 1 } });
  expect(monthly(standard, /^2 × db\.r7g\.large/)).toBeCloseTo(0.276 * 730 * 2);
  expect(monthly(standard, /GiB of data/)).toBeCloseTo(10);
  const optimized = lines({ target: { instanceClass: 'db.r7g.large' } });
  expect(monthly(optimized, /^1 × db\.r7g\.large/)).toBeCloseTo(0.276 * 1.3 * 730);
  expect(monthly(optimized, /GiB of data/)).toBeCloseTo(22.5);
});

test('serverless: at the least that it takes', () => {
  const target = { instanceClass: 'db.serverless', serverless: { minCapacity: 2, maxCapacity: 64 } };
  expect(monthly(lines({ target }), /db\.serverless at its least, 2 ACU/)).toBeCloseTo(2 * 0.16 * 730);
});

test('RDS: a standby doubles server and volume', () => {
  const target = { engine: 'postgres', instanceClass: 'db.t3.large', multiAz: true } as const;
  expect(monthly(lines({ target }), /with a standby/)).toBeCloseTo(0.145 * 730 * 2);
  expect(monthly(lines({ target }), /^volume/)).toBeCloseTo(500 * 0.115 * 2);
});

test('what the table does not know is unknown, never guessed', () => {
  const target = {
    engine: 'postgres',
    instanceClass: 'db.m7g.4xlarge',
    storage: { type: 'io2', iops: 1_000 },
  } as const;
  expect(monthly(lines({ target }), /m7g/)).toBeUndefined();
  expect(monthly(lines({ target }), /^volume/)).toBeUndefined();
});

test.each(Object.entries(DATABASE_CLASSES))(
  '%s: each class that settings offer has a price, or is named as unknown',
  (engine, classes) => {
    for (const instanceClass of classes) {
      const target = { engine, instanceClass } as MigrationSettings['target'];
      const [server] = lines({ target });
      expect(server?.what).toContain(instanceClass);
      expect(server?.monthly ?? 1).toBeGreaterThan(0);
    }
  },
);

test('the host by its size, its volume by size and speed', () => {
  const all = lines({ host: { volume: { sizeGiB: 1_000, iops: 4_000, throughputMiBs: 225 } } });
  expect(monthly(all, /^host m6i\.4xlarge/)).toBeCloseTo(0.768 * 730);
  expect(monthly(all, /^data volume/)).toBeCloseTo(80 + 5 + 4);
});

test('the pooler: both instances by their class', () => {
  const arn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop';
  const pooled = (instanceType: string): number | undefined =>
    monthly(
      lines({
        endpoint: { scheme: 'internal', allowedCidrs: ['10.0.0.0/8'], pooler: { instanceType } },
        agent: { applicationLogins: { shop: arn } },
      }),
      /, pooler$/,
    );
  expect(pooled('c6i.large')).toBeCloseTo(0.085 * 730 * 2);
  expect(pooled('c6i.2xlarge')).toBeCloseTo(0.34 * 730 * 2);
  expect(pooled('t3.small')).toBeCloseTo(0.0208 * 730 * 2);
  expect(pooled('c7a.large')).toBeUndefined();
});

test('an example with a pooler is told its instances, and the disks that they boot from', () => {
  const text = estimateReport('rds-upgrade', 100);
  expect(text).toMatch(/2 × c6i\.large, pooler +124\.10\n/);
  expect(text).toMatch(/20 × GiB of root volumes, gp3 +1\.60\n/);
  expect(text).toMatch(/rds-upgrade-target, stays\n[^\n]+\n[^\n]+\n[^\n]+pooler/);
});

test('gateways, keys, secrets and alarms are counted in the templates', () => {
  const counted = estimate(
    resolved(),
    { target: { 'AWS::EC2::NatGateway': 2, 'AWS::CloudWatch::Alarm': 13 }, migration: { 'AWS::KMS::Key': 1 } },
    0,
  );
  expect(monthly(counted, /^2 × NAT gateway/)).toBeCloseTo(65.7);
  expect(monthly(counted, /^13 × alarm/)).toBeCloseTo(1.3);
  expect(counted.find(({ what }) => what === '1 × key')?.stack).toBe('migration');
});

test('the report has both stacks, their sums, the date, and what is unknown', () => {
  const text = estimateReport('self-hosted-to-rds', 0);
  expect(text).toContain(`list prices of us-east-1 as of ${PRICES.asOf}`);
  expect(text).toMatch(/self-hosted-to-rds-target, stays\n {2}1 × db\.m7g\.4xlarge, RDS for PostgreSQL +unknown\n/);
  expect(text).toMatch(/10 × interface endpoint in a zone +73\.00\n/);
  expect(text).toMatch(/together, without 2 unknown +\d+\.\d\d\n/);
  expect(text).toMatch(/self-hosted-to-rds-migration, until it is destroyed\n {2}host m6i\.2xlarge +280\.32\n/);
});

test('a migration that is not there is refused', () => {
  expect(() => estimateReport('nope', 1)).toThrow('no migration "nope" in migrations/');
});
