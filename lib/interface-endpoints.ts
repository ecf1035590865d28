import { InterfaceVpcEndpointAwsService, SecurityGroup, type IVpc } from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import type { InterfaceEndpoint } from './settings';

export interface InterfaceEndpointsProps {
  readonly vpc: IVpc;
  readonly services: readonly InterfaceEndpoint[];
}

const SERVICES: Readonly<Record<InterfaceEndpoint, InterfaceVpcEndpointAwsService>> = {
  ssm: InterfaceVpcEndpointAwsService.SSM,
  ssmmessages: InterfaceVpcEndpointAwsService.SSM_MESSAGES,
  ec2messages: InterfaceVpcEndpointAwsService.EC2_MESSAGES,
  secretsmanager: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  logs: InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
  monitoring: InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
  kms: InterfaceVpcEndpointAwsService.KMS,
  elasticloadbalancing: InterfaceVpcEndpointAwsService.ELASTIC_LOAD_BALANCING,
  sns: InterfaceVpcEndpointAwsService.SNS,
  rds: InterfaceVpcEndpointAwsService.RDS,
};

/** Services of AWS inside the VPC, in the subnets of the host, behind a security group that lets nobody in by itself. */
export class InterfaceEndpoints extends Construct {
  /** Who needs the services adds a rule for its own group: the whole VPC has no business here. */
  readonly securityGroup: SecurityGroup;

  constructor(scope: Construct, id: string, { vpc, services }: InterfaceEndpointsProps) {
    super(scope, id);
    this.securityGroup = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Services of AWS; peers are named one by one',
      allowAllOutbound: false,
    });
    for (const service of services) {
      vpc.addInterfaceEndpoint(`${id}-${service}`, {
        service: SERVICES[service],
        subnets: { subnets: vpc.privateSubnets },
        securityGroups: [this.securityGroup],
        privateDnsEnabled: true,
        open: false,
      });
    }
  }
}
