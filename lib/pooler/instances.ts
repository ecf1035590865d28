import { Aws, CfnWaitCondition, CfnWaitConditionHandle, Validations } from 'aws-cdk-lib';
import {
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  Instance,
  InstanceType,
  type SecurityGroup,
} from 'aws-cdk-lib/aws-ec2';
import type { Role } from 'aws-cdk-lib/aws-iam';
import { Construct, type IDependable } from 'constructs';
import { agentValues, bootstrap } from '../bootstrap';
import { HostImage } from '../host-image';
import type { Network } from '../network';
import type { ResolvedPooler, ResolvedSettings } from '../settings';
import { POOLER_COUNT } from '../settings/pooler-types';

export interface PoolerInstancesProps {
  readonly network: Network;
  readonly role: Role;
  readonly securityGroup: SecurityGroup;
  readonly pooler: ResolvedPooler;
  readonly settings: ResolvedSettings;
}

/** Longest time that the bootstrap may take before the deployment fails; seconds. */
const BOOTSTRAP_TIMEOUT_SECONDS = 1_200;

/**
 * The pooler's machines. They are instances and no scaling group: whoever switches has to know every pooler there is,
 * and one that a group adds in that moment would come up on the old side. EC2 recovers an instance on other hardware
 * with its address, and the machine reads its side anew.
 */
export class PoolerInstances extends Construct {
  readonly instances: readonly Instance[];
  /** Done when each bootstrap has said so. */
  readonly ready: readonly IDependable[];

  constructor(scope: Construct, id: string, props: PoolerInstancesProps) {
    super(scope, id);
    if (props.settings.network.availabilityZones) {
      Validations.of(this).acknowledge({
        id: 'CloudFormation-Validate::W3010',
        reason: 'The settings name the zones: each instance stays in its own at every deployment.',
      });
    }
    const { machineImage } = new HostImage(this, 'Image', props.pooler.image);
    const subnets = props.network.vpc.privateSubnets.slice(0, POOLER_COUNT);
    const ready: IDependable[] = [];
    this.instances = subnets.map((subnet, index) => {
      const handle = new CfnWaitConditionHandle(this, `Signal${index + 1}`);
      const instance = new Instance(this, `Instance${index + 1}`, {
        vpc: props.network.vpc,
        vpcSubnets: { subnets: [subnet] },
        instanceType: new InstanceType(props.pooler.instanceType),
        machineImage,
        role: props.role,
        securityGroup: props.securityGroup,
        requireImdsv2: true,
        disableApiTermination: props.settings.target.deletionProtection,
        detailedMonitoring: true,
        propagateTagsToVolumeOnCreation: true,
        userData: bootstrap('pooler', {
          IBEX_REGION: Aws.REGION,
          IBEX_SIGNAL_URL: handle.ref,
          ...agentValues(props.settings.host),
        }),
        blockDevices: [
          {
            deviceName: '/dev/xvda',
            volume: BlockDeviceVolume.ebs(10, { encrypted: true, volumeType: EbsDeviceVolumeType.GP3 }),
          },
        ],
      });
      const condition = new CfnWaitCondition(this, `Ready${index + 1}`, {
        handle: handle.ref,
        count: 1,
        timeout: String(BOOTSTRAP_TIMEOUT_SECONDS),
      });
      condition.node.addDependency(instance);
      ready.push(condition);
      return instance;
    });
    this.ready = ready;
  }
}
