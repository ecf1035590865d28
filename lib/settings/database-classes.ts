/** Sizes from `large` on, in their order; every family has a run of them. */
const SIZES = ['large', 'xlarge', '2xlarge', '4xlarge', '8xlarge', '12xlarge', '16xlarge'];
const [, ...FROM_XLARGE] = SIZES;
const TO_24 = [...SIZES, '24xlarge'];
const TO_32 = [...TO_24, '32xlarge'];
const TO_48 = [...TO_24, '48xlarge'];
const BURSTABLE = ['micro', 'small', 'medium', 'large', 'xlarge', '2xlarge'];

type Families = Readonly<Record<string, readonly string[]>>;

/**
 * Sizes of each family that Aurora PostgreSQL offers, by the rules of CloudFormation that AWS CDK 2.276 holds. Families
 * before the fifth generation are left out.
 */
const AURORA: Families = {
  r5: TO_24,
  r6g: SIZES,
  r6gd: FROM_XLARGE,
  r6i: TO_32,
  r7g: SIZES,
  r7i: TO_48,
  r8g: TO_48,
  r8gd: [...FROM_XLARGE, '24xlarge', '48xlarge'],
  x2g: SIZES,
  t3: ['medium', 'large'],
  t4g: ['medium', 'large'],
};

/** The same for RDS for PostgreSQL. */
const RDS: Families = {
  m5: TO_24,
  m5d: TO_24,
  m6g: SIZES,
  m6gd: SIZES,
  m6i: TO_32,
  m6id: TO_32,
  m7g: SIZES,
  m7i: TO_48,
  m8g: TO_48,
  m8gd: TO_48,
  r5: TO_24,
  r5b: TO_24,
  r5d: TO_24,
  r6g: SIZES,
  r6gd: SIZES,
  r6i: TO_32,
  r6id: TO_32,
  r7g: SIZES,
  r7i: TO_48,
  r8g: TO_48,
  r8gd: TO_48,
  x2g: SIZES,
  x2iedn: ['xlarge', '2xlarge', '4xlarge', '8xlarge', '16xlarge', '24xlarge', '32xlarge'],
  t3: BURSTABLE,
  t4g: BURSTABLE,
};

const offers =
  (families: Families) =>
  (instanceClass: string): boolean => {
    const [db, family = '', size = '', ...rest] = instanceClass.split('.');
    return db === 'db' && rest.length === 0 && Object.hasOwn(families, family) && families[family]!.includes(size);
  };

/** Whether Aurora PostgreSQL offers a class; `db.serverless` is one. */
export const isAuroraClass = (instanceClass: string): boolean =>
  instanceClass === 'db.serverless' || offers(AURORA)(instanceClass);

/** Whether RDS for PostgreSQL offers a class. */
export const isRdsClass: (instanceClass: string) => boolean = offers(RDS);

/** Every class of either engine, for whoever has to know something of each. */
export const DATABASE_CLASSES = { 'aurora-postgresql': classes(AURORA), postgres: classes(RDS) } as const;

function classes(families: Families): readonly string[] {
  return Object.entries(families).flatMap(([family, sizes]) => sizes.map((size) => `db.${family}.${size}`));
}
