import { CfnOutput, RemovalPolicy } from 'aws-cdk-lib';
import {
  CfnEIP,
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  IpAddresses,
  NatProvider,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { ResolvedSettings } from './settings';

/**
 * A VPC of its own: public subnets for NAT and an internet-facing endpoint, private ones with a way out for the host,
 * isolated ones for the database. Its zones need no lookup, so that it synthesizes without an account.
 */
export class Network extends Construct {
  readonly vpc: Vpc;
  /** Addresses from which the host reaches the source; they stay the same, since firewalls hold them. */
  readonly natAddresses: readonly string[];

  constructor(scope: Construct, id: string, settings: ResolvedSettings['network']) {
    super(scope, id);
    const addresses = Array.from(
      { length: settings.natGateways },
      (_, index) => new CfnEIP(this, `NatAddress${index + 1}`, { domain: 'vpc' }),
    );
    this.natAddresses = addresses.map((address) => address.attrPublicIp);
    this.vpc = new Vpc(this, 'Vpc', {
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
    this.vpc.addFlowLog('FlowLog', {
      destination: FlowLogDestination.toCloudWatchLogs(
        new LogGroup(this, 'FlowLogs', {
          // The enumeration's values are numbers of days, and settings allow only those.
          retention: settings.flowLogDays as RetentionDays,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      ),
    });
    new CfnOutput(this, 'NatAddresses', {
      description: 'Addresses from which the host connects; let them in at the source',
      value: this.natAddresses.join(', '),
    });
  }
}
