/** The VPC: one that is made, or one that exists. */
export interface NetworkSettings {
  /**
   * Where host and poolers may open HTTP and HTTPS connections (TCP 80 and 443). `anywhere` says in words that 0.0.0.0/0
   * is meant: the package sources of Debian, PostgreSQL and Node.js, and AWS without endpoints of the VPC, have no
   * addresses that stay. Only with a mirror of those sources can it be less.
   */
  readonly httpEgress: 'anywhere' | HttpDestinations;
  /**
   * Its addresses, a /16 to /24 that does not overlap a private source's; with `existing`, what that VPC has.
   * @default '10.64.0.0/16'
   */
  readonly cidr?: string;
  /** Names of two or three availability zones of the Region. @default its first two; required with `existing` */
  readonly availabilityZones?: readonly string[];
  /** Gateways for outgoing traffic, 1 to one per zone; the host uses the first. Not with `existing`. @default 1 */
  readonly natGateways?: number;
  /** How long flow logs are kept; days that CloudWatch Logs offers. Not with `existing`. @default 30 */
  readonly flowLogDays?: number;
  /**
   * Services of AWS that the host reaches without leaving the VPC; each costs by the hour and the zone. In an existing
   * VPC only those that it does not have: a second one with a private name fails the deployment.
   * @default [] through NAT
   */
  readonly interfaceEndpoints?: readonly InterfaceEndpoint[];
  /** A VPC that is there already; nothing of it is changed, and nothing is looked up. @default a new VPC */
  readonly existing?: ExistingNetworkSettings;
}

/** The only places that host and poolers reach by HTTP and HTTPS, beside `interfaceEndpoints`. */
export interface HttpDestinations {
  /**
   * Networks of whatever answers for deb.debian.org, apt.postgresql.org, apt-archive.postgresql.org,
   * truststore.pki.rds.amazonaws.com and the host of `host.node.url`; 1 to 20. In an existing VPC that has endpoints of
   * its own for AWS also the VPC's network.
   */
  readonly cidrs: readonly string[];
  /** Managed prefix lists, 1 to 5, such as `pl-6da54004`: that of S3 in the Region, which holds program and agent. */
  readonly prefixListIds: readonly string[];
}

/** Services for which the VPC can have an endpoint of its own. */
export type InterfaceEndpoint = (typeof INTERFACE_ENDPOINTS)[number];

/** All of them are what a host needs that may not use NAT for AWS; S3 always has its gateway endpoint. */
export const INTERFACE_ENDPOINTS = [
  'ssm',
  'ssmmessages',
  'ec2messages',
  'secretsmanager',
  'logs',
  'monitoring',
  'kms',
  'elasticloadbalancing',
  'sns',
  'rds',
] as const;

/** Those that host and poolers call; without a way out to everywhere each of them needs its endpoint. */
export const CALLED_SERVICES: readonly InterfaceEndpoint[] = [
  'ssm',
  'ssmmessages',
  'ec2messages',
  'secretsmanager',
  'logs',
  'monitoring',
  'elasticloadbalancing',
  'rds',
];

/**
 * Ids of what exists. Each list of subnets has one in each zone of `network.availabilityZones`, in their order. Flow
 * logs, NAT and the gateway endpoint of S3 are that VPC's own affair.
 */
export interface ExistingNetworkSettings {
  readonly vpcId: string;
  /** Subnets with a way out (NAT) for the host and an internal load balancer. */
  readonly hostSubnetIds: readonly string[];
  /** Subnets for the database. */
  readonly databaseSubnetIds: readonly string[];
  /** Subnets with an internet gateway; required for an endpoint that is internet-facing. @default [] */
  readonly publicSubnetIds?: readonly string[];
  /** Addresses of its NAT gateways, only to print them: the source's firewall has to let them in. @default [] */
  readonly natAddresses?: readonly string[];
}
