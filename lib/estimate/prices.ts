/**
 * List prices in US dollars, on demand, of the Region us-east-1, gathered from public copies of AWS's price list on the
 * date below. Other Regions cost more, often by a tenth to a fifth. A price that could not be confirmed is not here:
 * the estimate then says so instead of guessing.
 */
export const PRICES = {
  asOf: '2026-11-20',
  region: 'us-east-1',
  /** Hours of a month, as AWS counts them. */
  hoursPerMonth: 730,

  /** Aurora PostgreSQL (standard) by class; an hour. */
  auroraServer: {
    'db.r6g.large': 0.26,
    'db.r6g.xlarge': 0.519,
    'db.r6g.2xlarge': 1.038,
    'db.r6g.4xlarge': 2.076,
    'db.r6g.8xlarge': 4.152,
    'db.r6g.12xlarge': 6.228,
    'db.r6g.16xlarge': 8.304,
    'db.r7g.large': 0.276,
    'db.r7g.xlarge': 0.553,
    'db.r7g.2xlarge': 1.106,
    'db.r7g.4xlarge': 2.211,
    'db.r7g.8xlarge': 4.422,
    'db.r7g.12xlarge': 6.633,
    'db.r7g.16xlarge': 8.844,
    'db.t3.medium': 0.082,
    'db.t3.large': 0.164,
  } as Readonly<Record<string, number>>,
  /** How much more a server costs with io-optimized storage. */
  auroraIoOptimizedFactor: 1.3,
  /** Aurora Serverless v2; an ACU and hour. */
  auroraCapacityUnit: { standard: 0.12, 'io-optimized': 0.16 },
  /** A GiB and month. */
  auroraStorage: { standard: 0.1, 'io-optimized': 0.225 },

  /** RDS for PostgreSQL in one zone, by class; an hour. A standby doubles it. */
  rdsServer: { 'db.t3.large': 0.145 } as Readonly<Record<string, number>>,
  /** Volume of RDS in one zone: a GiB and month; an operation a second above what gp3 gives, and month. */
  rdsStorage: 0.115,
  rdsGp3Iops: 0.02,

  /**
   * EC2 with Linux by family, of its size large; an hour. Every other size costs in proportion to it: small a quarter,
   * medium a half, xlarge twice.
   */
  ec2Large: {
    c5: 0.085,
    c5a: 0.077,
    c6i: 0.085,
    c6a: 0.0765,
    c7i: 0.08925,
    m5: 0.096,
    m5a: 0.086,
    m6i: 0.096,
    m6a: 0.0864,
    t3: 0.0832,
    t3a: 0.0752,
  } as Readonly<Record<string, number>>,
  /** gp3 of EBS: a GiB; an operation a second above 3000; a MiB a second above 125; each a month. */
  ebsGp3: 0.08,
  ebsGp3Iops: 0.005,
  ebsGp3Throughput: 0.04,

  /** An hour. */
  natGateway: 0.045,
  loadBalancer: 0.0225,
  publicAddress: 0.005,
  /** An interface endpoint in one zone; an hour. */
  interfaceEndpoint: 0.01,
  /** A month. */
  key: 1,
  secret: 0.4,
  alarm: 0.1,
} as const;
