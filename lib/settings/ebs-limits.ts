/** What an m6i instance sustains towards EBS all day; smaller sizes burst above it for half an hour. */
export interface EbsLimit {
  readonly throughputMiBs: number;
  readonly iops: number;
}

const limit = (megabits: number, iops: number): EbsLimit => ({
  throughputMiBs: Math.floor((megabits * 1_000_000) / 8 / 1_048_576),
  iops,
});

/** Baseline EBS bandwidth and IOPS by size, from the table "EBS optimized by default" of the EC2 user guide. */
export const M6I_EBS_LIMITS: Readonly<Record<string, EbsLimit>> = {
  'm6i.large': limit(650, 3_600),
  'm6i.xlarge': limit(1_250, 6_000),
  'm6i.2xlarge': limit(2_500, 12_000),
  'm6i.4xlarge': limit(5_000, 20_000),
  'm6i.8xlarge': limit(10_000, 40_000),
  'm6i.12xlarge': limit(15_000, 60_000),
  'm6i.16xlarge': limit(20_000, 80_000),
  'm6i.24xlarge': limit(30_000, 120_000),
  'm6i.32xlarge': limit(40_000, 160_000),
};
