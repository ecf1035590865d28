import { ArnFormat, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { MachineImage, OperatingSystemType, UserData, type IMachineImage } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import type { ImageSettings } from './settings';

/**
 * The host's machine image, the same for the life of the stack. CloudFormation would read an SSM parameter again at
 * each deployment, and replace the host in mid-migration when a new image was published; so it is read by a call that
 * is made only when the stack is created.
 */
export class HostImage extends Construct {
  readonly machineImage: IMachineImage;

  constructor(scope: Construct, id: string, settings: ImageSettings) {
    super(scope, id);
    this.machineImage =
      'amiIds' in settings ? MachineImage.genericLinux({ ...settings.amiIds }) : this.readOnce(settings.ssmParameter);
  }

  private readOnce(parameter: string): IMachineImage {
    const lookup = new AwsCustomResource(this, 'Lookup', {
      resourceType: 'Custom::MachineImage',
      installLatestAwsSdk: false,
      onCreate: {
        service: 'SSM',
        action: 'GetParameter',
        parameters: { Name: parameter },
        physicalResourceId: PhysicalResourceId.fromResponse('Parameter.Value'),
        outputPaths: ['Parameter.Value'],
      },
      policy: AwsCustomResourcePolicy.fromStatements([
        new PolicyStatement({
          actions: ['ssm:GetParameter'],
          resources: [
            Stack.of(this).formatArn({
              service: 'ssm',
              account: parameter.startsWith('/aws/') ? '' : Stack.of(this).account,
              resource: 'parameter',
              resourceName: parameter.replace(/^\//, ''),
              arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
            }),
          ],
        }),
      ]),
      logGroup: new LogGroup(this, 'Logs', {
        retention: RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
    });
    const imageId = lookup.getResponseField('Parameter.Value');
    return {
      getImage: () => ({ imageId, osType: OperatingSystemType.LINUX, userData: UserData.forLinux() }),
    };
  }
}
