import { Aws, CfnWaitCondition, CfnWaitConditionHandle, RemovalPolicy, Size, Validations } from 'aws-cdk-lib';
import {
  BlockDeviceVolume,
  CfnSecurityGroupIngress,
  CfnVolumeAttachment,
  EbsDeviceVolumeType,
  Instance,
  InstanceType,
  Port,
  SecurityGroup,
  type UserData,
  Volume,
} from 'aws-cdk-lib/aws-ec2';
import type { Role } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { agentValues, bootstrap } from './bootstrap';
import { Database } from './database';
import { HostImage } from './host-image';
import type { Network } from './network';
import type { ResolvedSettings } from './settings';
import { allowFork, allowHttp, allowSource } from './ways-out';

export interface HostProps {
  readonly network: Network;
  readonly database: Database;
  readonly role: Role;
  /** Encrypts the data volume, and the snapshot that is left of it. */
  readonly key: IKey;
  readonly settings: ResolvedSettings;
}

/** Longest time that the bootstrap may take before the deployment fails; seconds. */
const BOOTSTRAP_TIMEOUT_SECONDS = 2_700;

/**
 * The Bucardo host: one instance without SSH, and a data volume that outlives it. Its user data never changes with the
 * program, since a change of user data restarts the instance.
 */
export class Host extends Construct {
  readonly instance: Instance;
  readonly volume: Volume;
  readonly securityGroup: SecurityGroup;
  /** Done when the bootstrap has said so; depend on it for whatever needs a ready host. */
  readonly ready: CfnWaitCondition;

  constructor(scope: Construct, id: string, props: HostProps) {
    super(scope, id);
    const { settings } = props;
    const { vpc } = props.network;
    const [subnet] = vpc.privateSubnets;
    if (!subnet) throw new Error('the network has no private subnet with a way out for the host');
    if (settings.network.availabilityZones) {
      Validations.of(this).acknowledge({
        id: 'CloudFormation-Validate::W3010',
        reason: 'The settings name the zones: volume and host must be in the same one at every deployment.',
      });
    }
    this.securityGroup = this.openings(props);
    // A volume and its instance must be in the same zone.
    this.volume = new Volume(this, 'Data', {
      availabilityZone: subnet.availabilityZone,
      size: Size.gibibytes(settings.host.volume.sizeGiB),
      volumeType: EbsDeviceVolumeType.GP3,
      iops: settings.host.volume.iops,
      throughput: settings.host.volume.throughputMiBs,
      encrypted: true,
      encryptionKey: props.key,
      removalPolicy: RemovalPolicy.SNAPSHOT,
    });
    const handle = new CfnWaitConditionHandle(this, 'Signal');
    this.instance = new Instance(this, 'Instance', {
      vpc,
      vpcSubnets: { subnets: [subnet] },
      instanceType: new InstanceType(settings.host.instanceType),
      machineImage: new HostImage(this, 'Image', settings.host.image).machineImage,
      role: props.role,
      securityGroup: this.securityGroup,
      requireImdsv2: true,
      disableApiTermination: settings.host.terminationProtection,
      detailedMonitoring: true,
      propagateTagsToVolumeOnCreation: true,
      userData: this.userData(settings, handle),
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: BlockDeviceVolume.ebs(20, { encrypted: true, volumeType: EbsDeviceVolumeType.GP3 }),
        },
      ],
    });
    const attachment = new CfnVolumeAttachment(this, 'Attachment', {
      instanceId: this.instance.instanceId,
      volumeId: this.volume.volumeId,
      device: '/dev/sdf',
    });
    this.ready = new CfnWaitCondition(this, 'Ready', {
      handle: handle.ref,
      count: 1,
      timeout: String(BOOTSTRAP_TIMEOUT_SECONDS),
    });
    // The bootstrap waits for the volume, so the clock starts when it is there.
    this.ready.addResourceDependency(attachment);
  }

  /** Nobody comes in; out go package sources and AWS (HTTPS, HTTP), the source, and the target. */
  private openings({ network, database, settings }: HostProps): SecurityGroup {
    const { vpc, interfaceEndpoints } = network;
    const group = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Bucardo host; nothing comes in',
      allowAllOutbound: false,
    });
    allowHttp(group, settings.network, network);
    allowSource(group, settings.source);
    allowFork(group, settings.source);
    group.addEgressRule(database.securityGroup, Port.tcp(Database.PORT), 'Target');
    // In this stack, so that the target stack neither knows the host nor changes when it goes.
    new CfnSecurityGroupIngress(this, 'ToTarget', {
      groupId: database.securityGroup.securityGroupId,
      sourceSecurityGroupId: group.securityGroupId,
      ipProtocol: 'tcp',
      fromPort: Database.PORT,
      toPort: Database.PORT,
      description: 'Bucardo host',
    });
    if (interfaceEndpoints) {
      new CfnSecurityGroupIngress(this, 'ToServices', {
        groupId: interfaceEndpoints.securityGroup.securityGroupId,
        sourceSecurityGroupId: group.securityGroupId,
        ipProtocol: 'tcp',
        fromPort: 443,
        toPort: 443,
        description: 'Bucardo host',
      });
    }
    return group;
  }

  private userData({ host, target }: ResolvedSettings, handle: CfnWaitConditionHandle): UserData {
    return bootstrap('host', {
      IBEX_REGION: Aws.REGION,
      IBEX_VOLUME_ID: this.volume.volumeId,
      IBEX_SIGNAL_URL: handle.ref,
      IBEX_HOST_POSTGRES: String(host.postgresMajor),
      IBEX_CLIENT_POSTGRES: String(Number.parseInt(target.version, 10)),
      IBEX_NODE_URL: host.node.url,
      IBEX_NODE_SHA256: host.node.sha256,
      ...agentValues(host),
    });
  }
}
