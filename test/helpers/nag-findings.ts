/** A finding of cdk-nag's AwsSolutions that is meant to be there, and why. */
export interface Acknowledgement {
  /** Rule, with what it found in brackets; `<migration>` stands for any migration's name. */
  readonly rule: string;
  /** Where, without the name of the stack. */
  readonly at: RegExp;
  readonly reason: string;
}

const IAM5 = (resource: string, at: RegExp, reason: string): Acknowledgement => ({
  rule: `AwsSolutions-IAM5[Resource::${resource}]`,
  at,
  reason,
});
const MANAGED = (policy: string, at: RegExp, reason: string): Acknowledgement => ({
  rule: `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/${policy}]`,
  at,
  reason,
});
const ACCOUNT = '<AWS::Region>:<AWS::AccountId>';

/** All of them. Whatever else cdk-nag finds fails the test, and so does one of these that it no longer finds. */
export const ACKNOWLEDGED: readonly Acknowledgement[] = [
  MANAGED(
    'AmazonRDSEnhancedMonitoringRole',
    /^Database\/(Cluster|Instance|Reader\d+)\/MonitoringRole/,
    'The policy that RDS asks for by name; it writes to one log group.',
  ),
  MANAGED(
    'AWSLambdaBasicExecutionRole',
    /^(Endpoint\/Sync\/Function|AWS[0-9a-f]{32})\/ServiceRole/,
    'It writes logs and does nothing else.',
  ),
  MANAGED(
    'AWSBackupServiceRolePolicyForBackup',
    /^Database\/BackupCopy\/Database\/Role/,
    'The policy of AWS Backup for its own snapshots; the selection names one database.',
  ),
  IAM5('*', /^Endpoint\/Sync\/Function\/ServiceRole/, 'DescribeTargetHealth, for which AWS knows no resource.'),
  IAM5(
    '*',
    /^(HostRole|Pooler\/Role)/,
    "The agent's own channels, DescribeLogGroups and PutMetricData (by namespace): AWS knows no resource for them. DescribeAlarms lists by the beginning of the names.",
  ),
  ...['snapshot', 'cluster-snapshot'].map((kind) =>
    IAM5(`arn:<AWS::Partition>:rds:${ACCOUNT}:${kind}:ibex-*`, /^AutomationRole/, 'Snapshots of ours, by their name.'),
  ),
  ...['snapshot', 'cluster-snapshot'].map((kind) =>
    IAM5(
      `arn:<AWS::Partition>:rds:${ACCOUNT}:${kind}:*`,
      /^HostRole/,
      'Snapshots of the one database, which stands beside them in the statement; reads only.',
    ),
  ),
  IAM5('*', /^AutomationRole/, 'Asking after commands: AWS knows no resource for that.'),
  IAM5(
    `arn:<AWS::Partition>:ec2:${ACCOUNT}:instance/*`,
    /^(HostRole|Pooler\/Role)/,
    'DescribeAssociation of the agent; reads only.',
  ),
  IAM5(
    `arn:<AWS::Partition>:ssm:${ACCOUNT}:association/*`,
    /^(HostRole|Pooler\/Role)/,
    'Ids of associations are given at deployment.',
  ),
  IAM5(
    `arn:<AWS::Partition>:ssm:${ACCOUNT}:document/<migration>-migration-*`,
    /^HostRole/,
    'The documents of this stack, by their prefix.',
  ),
  IAM5(
    `arn:<AWS::Partition>:ssm:${ACCOUNT}:document/<migration>-target-pooler-*`,
    /^Pooler\/Role/,
    'The two documents of the pooler, by their prefix.',
  ),
  IAM5(
    `arn:<AWS::Partition>:kms:${ACCOUNT}:key/*`,
    /^(HostRole|Pooler\/Role)/,
    'Whatever keys the named secrets have: only by Secrets Manager, only for those secrets (encryption context).',
  ),
  ...['dumps', 'logs', 'reports', 'samples'].map((prefix) =>
    IAM5(`<ArtifactsBucket.Arn>/${prefix}/*`, /^HostRole/, 'New objects under one prefix.'),
  ),
  IAM5(
    `arn:<AWS::Partition>:ssm:${ACCOUNT}:automation-definition/<migration>-migration-*:*`,
    /^AutomationRole/,
    'The runbooks of this stack, in any version.',
  ),
  IAM5(
    `arn:<AWS::Partition>:ssm:${ACCOUNT}:automation-execution/*`,
    /^AutomationRole/,
    'Ids of executions are given when they start.',
  ),
  {
    rule: 'AwsSolutions-SMG4',
    at: /^(SourceSecret|ForkSecret|MigratorSecret|ApplicationSecrets\/\w+)\//,
    reason: 'Rotation in the midst of a migration would cut the replication; their owners rotate them afterwards.',
  },
  {
    rule: 'AwsSolutions-SMG4',
    at: /^Pooler\/Console\//,
    reason: 'A console whose password changes in the midst of a cutover commands nobody; its port is open to one host.',
  },
  {
    rule: 'AwsSolutions-RDS6',
    at: /^Database\/Cluster\//,
    reason: 'Applications keep the logins and passwords that they have on the source.',
  },
  {
    rule: 'AwsSolutions-RDS3',
    at: /^Database\/Instance\//,
    reason: 'The standby is added before the cutover (target.multiAz): while loading it only slows each commit.',
  },
  {
    rule: 'AwsSolutions-RDS11',
    at: /^Database\/Instance\//,
    reason: 'The port is no secret; the security group decides who comes in.',
  },
  {
    rule: 'AwsSolutions-ELB2',
    at: /^Endpoint\/LoadBalancer\//,
    reason:
      'A network load balancer logs TLS listeners only, and TLS goes through to the database; flow logs tell the rest.',
  },
  {
    rule: 'AwsSolutions-L1',
    at: /^Endpoint\/Sync\/Function\//,
    reason: 'Node.js 22 is maintained until April 2027, and what is tested.',
  },
  {
    rule: 'AwsSolutions-S1',
    at: /^Artifacts\/Bucket\//,
    reason: 'One writer and few readers, all of them in CloudTrail; a log of accesses would need a bucket of its own.',
  },
];
