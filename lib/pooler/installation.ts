import { createHash } from 'node:crypto';
import { Stack } from 'aws-cdk-lib';
import type { Instance } from 'aws-cdk-lib/aws-ec2';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { CfnAssociation, type StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct, type IDependable } from 'constructs';
import { CommandDocument } from '../command-document';

export interface PoolerInstallationProps {
  /** Begins the names of both documents. */
  readonly prefix: string;
  readonly instances: readonly Instance[];
  /** Programs, units and files of configuration. */
  readonly program: Asset;
  readonly configuration: StringParameter;
  /** What the parameter holds; tokens are allowed. */
  readonly configurationText: string;
  /** What must be there first. */
  readonly after: readonly IDependable[];
}

const SCRIPT = [
  'set -eu',
  'export AWS_REGION="$AWS_SSM_REGION_NAME"',
  'work=$(mktemp -d)',
  `trap 'rm -rf "$work"' EXIT`,
  'aws s3 cp --only-show-errors --region "$AWS_REGION" "s3://$SSM_Bucket/$SSM_Key" "$work/package.zip"',
  'unzip -q "$work/package.zip" -d "$work/package"',
  'IBEX_CONFIGURATION="$SSM_Configuration" IBEX_INSTANCE="$AWS_SSM_INSTANCE_ID" bash "$work/package/install.sh"',
];

/** What an operator, or a runbook, may ask of a pooler besides. */
const ACTIONS = ['prove', 'users', 'status'];

/**
 * Brings programs and configuration to the pooler, at the first deployment and whenever one of them changes, without
 * a restart of PgBouncer. The deployment waits for it. A second document asks: prove the logins, fetch the users anew,
 * tell the side.
 */
export class PoolerInstallation extends Construct {
  readonly install: CommandDocument;
  readonly ask: CommandDocument;

  constructor(scope: Construct, id: string, props: PoolerInstallationProps) {
    super(scope, id);
    const { prefix, program, configuration } = props;
    const release = createHash('sha256')
      .update(program.assetHash)
      .update(JSON.stringify(Stack.of(this).resolve(props.configurationText)))
      .digest('hex')
      .slice(0, 16);
    this.install = new CommandDocument(this, 'Install', {
      name: `${prefix}-install`,
      description:
        'Ibex: puts programs and configuration on the pooler. PgBouncer takes the new configuration without losing a client and stays on its side. Safe to run at any time.',
      parameters: {
        Bucket: { description: 'Bucket of the package.', default: program.s3BucketName },
        Key: { description: 'Object of the package.', default: program.s3ObjectKey },
        Release: {
          description: 'A change of it runs the document.',
          allowedPattern: '^[0-9a-f]{16}$',
          default: release,
        },
        Configuration: { description: 'SSM parameter with the configuration.', default: configuration.parameterName },
      },
      script: SCRIPT,
      timeoutSeconds: 600,
    });
    this.ask = new CommandDocument(this, 'Ask', {
      name: `${prefix}-ask`,
      description:
        'Ibex: asks the pooler. `prove` logs every application login into both servers and names those that fail, `users` fetches their passwords anew, `status` tells the side. None changes the side.',
      parameters: { Action: { description: 'What to ask.', allowedValues: ACTIONS, default: 'status' } },
      script: ['exec runuser -u postgres -- /opt/ibex-pooler/pooler.sh "$SSM_Action"'],
      timeoutSeconds: 600,
    });
    const association = new CfnAssociation(this, 'Association', {
      name: this.install.document.ref,
      associationName: `${prefix}-install`,
      targets: [{ key: 'InstanceIds', values: props.instances.map(({ instanceId }) => instanceId) }],
      // One after the other: both would drop what they serve if a new configuration kept PgBouncer from running.
      maxConcurrency: '1',
      maxErrors: '0',
      parameters: { Release: [release], Bucket: [program.s3BucketName], Key: [program.s3ObjectKey] },
      waitForSuccessTimeoutSeconds: 900,
    });
    association.node.addDependency(configuration, ...props.after);
  }
}
