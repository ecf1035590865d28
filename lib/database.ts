import { CfnOutput } from 'aws-cdk-lib';
import { SecurityGroup, type ISubnet, type IVpc } from 'aws-cdk-lib/aws-ec2';
import { Key, type IKey } from 'aws-cdk-lib/aws-kms';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { aurora } from './aurora';
import { backupCopy } from './backup-copy';
import type { ParameterLevel } from './database-parameters';
import { customerKey } from './customer-key';
import { rdsPostgres } from './rds-postgres';
import type { ResolvedTarget } from './settings';

export interface DatabaseProps {
  readonly vpc: IVpc;
  /** Where its instances are. */
  readonly subnets: readonly ISubnet[];
  readonly settings: ResolvedTarget;
}

/** What either engine needs to be built. */
export interface DatabaseParts {
  readonly vpc: IVpc;
  readonly subnets: readonly ISubnet[];
  readonly securityGroup: SecurityGroup;
  /** TCP port. */
  readonly port: number;
  /** Encrypts data, backups, Database Insights and the master's secret. */
  readonly key: IKey;
}

/** One parameter group, by whose name a profile is switched. */
export interface DatabaseParameterGroup {
  readonly level: ParameterLevel;
  readonly name: string;
}

/** The one face that Aurora and RDS for PostgreSQL show to everything else. */
export interface DatabaseResource {
  /** User and password of the master user, made and rotated by RDS. */
  readonly secret: ISecret;
  /** Host name that always leads to the server which takes writes. */
  readonly writerAddress: string;
  /** Host names of all servers, whatever their present role is. */
  readonly instanceAddresses: readonly string[];
  /** Identifiers of all servers, in the same order. */
  readonly instanceIds: readonly string[];
  /** Identifier of the Aurora cluster. Absent for RDS. */
  readonly clusterId?: string;
  /** Resource id of the server that is built first, as Database Insights names it. Absent for Aurora. */
  readonly resourceId?: string;
  /** ARN of cluster or instance. */
  readonly arn: string;
  /** `detail-type` of its events. */
  readonly eventType: 'RDS DB Cluster Event' | 'RDS DB Instance Event';
  readonly parameterGroups: readonly DatabaseParameterGroup[];
}

/** The target: an encrypted database that nobody reaches who is not let in by name. */
export class Database extends Construct {
  /** Port that every target of ours listens on. */
  static readonly PORT = 5432;

  readonly resource: DatabaseResource;
  readonly engine: ResolvedTarget['engine'];
  readonly securityGroup: SecurityGroup;
  readonly key: IKey;
  /** Name of the database that the migration fills. */
  readonly databaseName: string;

  constructor(scope: Construct, id: string, { vpc, subnets, settings }: DatabaseProps) {
    super(scope, id);
    this.databaseName = settings.database;
    this.engine = settings.engine;
    this.securityGroup = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Target database; peers are named one by one',
      allowAllOutbound: false,
    });
    this.key =
      settings.encryptionKeyArn === undefined
        ? customerKey(this, 'Key', 'Ibex target: data, backups and master secret')
        : Key.fromKeyArn(this, 'Key', settings.encryptionKeyArn);
    const parts: DatabaseParts = {
      vpc,
      subnets,
      securityGroup: this.securityGroup,
      port: Database.PORT,
      key: this.key,
    };
    this.resource = settings.engine === 'postgres' ? rdsPostgres(this, settings, parts) : aurora(this, settings, parts);
    if (settings.backupCopy) backupCopy(this, 'BackupCopy', { arn: this.resource.arn, settings: settings.backupCopy });
    new CfnOutput(this, 'WriterAddress', {
      description: 'The writer, without the load balancer between',
      value: this.resource.writerAddress,
    });
  }
}
