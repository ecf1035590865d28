import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { PolicyStatement, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership, type LifecycleRule } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { ResolvedSettings } from './settings';

export interface ArtifactsProps {
  readonly key: IKey;
  readonly settings: ResolvedSettings['artifacts'];
}

/** What may hold rows, or values of keys, of the applications. */
const DATA_PREFIXES = ['dumps/', 'logs/', 'samples/'];
const REPORT_PREFIX = 'reports/';

/**
 * The bucket of what is left of a migration: reports for an audit, and for a while logs, dumps and samples. It is
 * reached over TLS only, and stays when the stack goes; what is in it expires by itself.
 */
export class Artifacts extends Construct {
  readonly bucket: Bucket;
  private readonly key: IKey;

  constructor(scope: Construct, id: string, { key, settings }: ArtifactsProps) {
    super(scope, id);
    this.key = key;
    const expire = (prefix: string, days: number): LifecycleRule => ({
      id: prefix.replace('/', ''),
      prefix,
      expiration: Duration.days(days),
    });
    this.bucket = new Bucket(this, 'Bucket', {
      encryption: BucketEncryption.KMS,
      encryptionKey: key,
      bucketKeyEnabled: true,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [
        expire(REPORT_PREFIX, settings.reportDays),
        ...DATA_PREFIXES.map((prefix) => expire(prefix, settings.dataDays)),
        { id: 'unfinished', abortIncompleteMultipartUploadAfter: Duration.days(1) },
      ],
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }

  /** Lets someone add objects under the known prefixes; nobody of ours reads or deletes them. */
  grantAdd(grantee: IGrantable): void {
    grantee.grantPrincipal.addToPrincipalPolicy(
      new PolicyStatement({
        sid: 'AddArtifacts',
        actions: ['s3:PutObject'],
        resources: [REPORT_PREFIX, ...DATA_PREFIXES].map((prefix) => this.bucket.arnForObjects(`${prefix}*`)),
      }),
    );
    grantee.grantPrincipal.addToPrincipalPolicy(
      new PolicyStatement({
        sid: 'ArtifactsKey',
        // A multipart upload reads its own parts again.
        actions: ['kms:GenerateDataKey', 'kms:Decrypt'],
        resources: [this.key.keyArn],
        conditions: { StringLike: { 'kms:ViaService': 's3.*.amazonaws.com' } },
      }),
    );
  }
}
