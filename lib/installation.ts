import { createHash } from 'node:crypto';
import { Stack } from 'aws-cdk-lib';
import type { Instance } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { CfnAssociation, ParameterTier, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct, type IDependable } from 'constructs';
import type { AgentConfig } from '../assets/agent/config';
import { CommandDocument } from './command-document';
import { hostPackage } from './host-package';

export interface InstallationProps {
  /** Name of the install document. */
  readonly documentName: string;
  readonly instance: Instance;
  /** What the program is told; tokens are allowed. */
  readonly configuration: AgentConfig;
  /** The host must have come this far. */
  readonly after: IDependable;
}

const SCRIPT = [
  'set -eu',
  'export AWS_REGION="$AWS_SSM_REGION_NAME"',
  'work=$(mktemp -d)',
  `trap 'rm -rf "$work"' EXIT`,
  'aws s3 cp --only-show-errors --region "$AWS_REGION" "s3://$SSM_Bucket/$SSM_Key" "$work/package.zip"',
  'unzip -q "$work/package.zip" -d "$work/package"',
  'IBEX_RELEASE="$SSM_Release" IBEX_CONFIGURATION="$SSM_Configuration" bash "$work/package/install.sh"',
];

/**
 * Brings program and configuration to the host, at the first deployment and whenever one of them changes, without
 * touching user data. The deployment waits for it and fails when it fails; the document can also be run by hand.
 */
export class Installation extends Construct {
  readonly document: CommandDocument;
  readonly configuration: StringParameter;
  /** Identifies program and configuration together. */
  readonly release: string;

  constructor(scope: Construct, id: string, { documentName, instance, configuration, after }: InstallationProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const program = hostPackage(this, 'Program');
    const text = stack.toJsonString(configuration);
    this.configuration = new StringParameter(this, 'Configuration', {
      description: 'What the Ibex host program is told; no secret, only the names of secrets',
      parameterName: `/ibex/${configuration.migration}/configuration`,
      stringValue: text,
      // Above 4 KiB only the advanced tier will do.
      tier: ParameterTier.INTELLIGENT_TIERING,
    });
    this.release = createHash('sha256')
      .update(program.assetHash)
      .update(JSON.stringify(stack.resolve(text)))
      .digest('hex')
      .slice(0, 16);
    this.document = new CommandDocument(this, 'Install', {
      name: documentName,
      description:
        'Ibex: puts the program and its configuration on the Bucardo host. Jobs that run go on with the old program; the next start takes the new one. Safe to run at any time.',
      parameters: {
        Bucket: { description: 'Bucket of the program.', default: program.s3BucketName },
        Key: { description: 'Object of the program.', default: program.s3ObjectKey },
        Release: { description: 'Name of its directory.', allowedPattern: '^[0-9a-f]{16}$', default: this.release },
        Configuration: {
          description: 'SSM parameter with the configuration.',
          default: this.configuration.parameterName,
        },
      },
      script: SCRIPT,
      timeoutSeconds: 600,
    });
    this.grant(instance, program);
    const association = new CfnAssociation(this, 'Association', {
      name: this.document.document.ref,
      associationName: documentName,
      targets: [{ key: 'InstanceIds', values: [instance.instanceId] }],
      // A change here makes Systems Manager run the document again.
      parameters: { Release: [this.release], Bucket: [program.s3BucketName], Key: [program.s3ObjectKey] },
      waitForSuccessTimeoutSeconds: 900,
    });
    association.node.addDependency(after, this.configuration, instance.role);
  }

  private grant(instance: Instance, program: Asset): void {
    instance.role.addToPrincipalPolicy(
      new PolicyStatement({
        sid: 'Program',
        actions: ['s3:GetObject'],
        resources: [program.bucket.arnForObjects(program.s3ObjectKey)],
      }),
    );
    instance.role.addToPrincipalPolicy(
      new PolicyStatement({
        sid: 'Configuration',
        actions: ['ssm:GetParameter'],
        resources: [this.configuration.parameterArn],
      }),
    );
  }
}
