import { CfnOutput, RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  CfnEIP,
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  IpAddresses,
  NatProvider,
  SubnetType,
  Vpc,
  type ISubnet,
  type IVpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { InterfaceEndpoints } from './interface-endpoints';
import type { ResolvedSettings } from './settings';

type Settings = ResolvedSettings['network'];

/**
 * Where everything is: public subnets for NAT and an internet-facing endpoint, private ones with a way out for the
 * host, isolated ones for the database. A new VPC's zones, and the subnets of one that exists, need no lookup, so that
 * it synthesizes without an account.
 */
export class Network extends Construct {
  readonly vpc: IVpc;
  /** Subnets of the database. */
  readonly databaseSubnets: readonly ISubnet[];
  /** Addresses from which the host reaches the source; they stay the same, since firewalls hold them. */
  readonly natAddresses: readonly string[];
  /** AWS services inside the VPC, for whoever is let in by name. Absent without any. */
  readonly interfaceEndpoints?: InterfaceEndpoints;

  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    if (settings.availabilityZones) {
      Validations.of(this).acknowledge({
        id: 'CloudFormation-Validate::W3010',
        reason: 'The settings name the zones: subnets, volume and host must be in the same ones at every deployment.',
      });
    }
    if (settings.existing) {
      this.vpc = this.existing(settings, settings.existing);
      this.natAddresses = settings.existing.natAddresses ?? [];
    } else {
      const addresses = Array.from(
        { length: settings.natGateways },
        (_, index) => new CfnEIP(this, `NatAddress${index + 1}`, { domain: 'vpc' }),
      );
      this.natAddresses = addresses.map((address) => address.attrPublicIp);
      this.vpc = this.made(settings, addresses);
    }
    this.databaseSubnets = this.vpc.isolatedSubnets;
    if (settings.interfaceEndpoints.length > 0) {
      this.interfaceEndpoints = new InterfaceEndpoints(this, 'Endpoints', {
        vpc: this.vpc,
        services: settings.interfaceEndpoints,
      });
    }
    if (this.natAddresses.length > 0) {
      new CfnOutput(this, 'NatAddresses', {
        description: 'Addresses from which the host connects; let them in at the source',
        value: this.natAddresses.join(', '),
      });
    }
  }

  private existing({ cidr, availabilityZones = [] }: Settings, ids: NonNullable<Settings['existing']>): IVpc {
    Validations.of(this).acknowledge({
      id: 'Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId',
      reason: 'No route of an existing VPC is ever changed, so its route tables need not be known.',
    });
    return Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId: ids.vpcId,
      vpcCidrBlock: cidr,
      availabilityZones: [...availabilityZones],
      privateSubnetIds: [...ids.hostSubnetIds],
      isolatedSubnetIds: [...ids.databaseSubnetIds],
      ...((ids.publicSubnetIds ?? []).length > 0 && { publicSubnetIds: [...(ids.publicSubnetIds ?? [])] }),
    });
  }

  private made(settings: Settings, addresses: readonly CfnEIP[]): Vpc {
    const vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr(settings.cidr),
      ...(settings.availabilityZones ? { availabilityZones: [...settings.availabilityZones] } : { maxAzs: 2 }),
      natGateways: settings.natGateways,
      natGatewayProvider: NatProvider.gateway({
        eipAllocationIds: addresses.map((address) => address.attrAllocationId),
      }),
      subnetConfiguration: [
        { name: 'Public', subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
        { name: 'Host', subnetType: SubnetType.PRIVATE_WITH_EGRESS },
        { name: 'Database', subnetType: SubnetType.PRIVATE_ISOLATED },
      ],
      // The program, and the SSM agent's packages, come from S3 without paying for NAT.
      gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    });
    vpc.addFlowLog('FlowLog', {
      destination: FlowLogDestination.toCloudWatchLogs(
        new LogGroup(this, 'FlowLogs', {
          // The enumeration's values are numbers of days, and settings allow only those.
          retention: settings.flowLogDays as RetentionDays,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      ),
    });
    return vpc;
  }
}
