import { CfnOutput, Duration } from 'aws-cdk-lib';
import { Peer, Port, SecurityGroup, SubnetType, type IVpc } from 'aws-cdk-lib/aws-ec2';
import { NetworkLoadBalancer, NetworkTargetGroup, Protocol, TargetType } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Construct } from 'constructs';
import { Database } from './database';
import { EndpointSync } from './endpoint-sync';
import type { ResolvedSettings } from './settings';

export interface EndpointProps {
  readonly vpc: IVpc;
  readonly database: Database;
  readonly settings: ResolvedSettings['endpoint'];
  /** Whether AWS refuses to delete the load balancer. */
  readonly deletionProtection: boolean;
}

/**
 * The applications' address: a network load balancer whose one target is the writer. The addresses of Aurora change at
 * a failover, so EndpointSync keeps the target group on the writer's. A new target takes minutes to be healthy; who
 * wants seconds uses the cluster's own endpoint.
 */
export class Endpoint extends Construct {
  readonly loadBalancer: NetworkLoadBalancer;
  readonly targetGroup: NetworkTargetGroup;

  constructor(scope: Construct, id: string, { vpc, database, settings, deletionProtection }: EndpointProps) {
    super(scope, id);
    // A load balancer that is made without a security group can never be given one.
    const securityGroup = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Address of the applications',
      allowAllOutbound: false,
    });
    for (const cidr of settings.allowedCidrs) {
      securityGroup.addIngressRule(Peer.ipv4(cidr), Port.tcp(settings.port), 'Applications');
    }
    securityGroup.connections.allowTo(database.securityGroup, Port.tcp(Database.PORT), 'Load balancer to database');

    const internetFacing = settings.scheme === 'internet-facing';
    this.loadBalancer = new NetworkLoadBalancer(this, 'LoadBalancer', {
      vpc,
      internetFacing,
      vpcSubnets: { subnetType: internetFacing ? SubnetType.PUBLIC : SubnetType.PRIVATE_WITH_EGRESS },
      securityGroups: [securityGroup],
      // The writer is in one zone; clients come to each.
      crossZoneEnabled: true,
      deletionProtection,
    });
    this.targetGroup = new NetworkTargetGroup(this, 'Writer', {
      vpc,
      targetType: TargetType.IP,
      protocol: Protocol.TCP,
      port: Database.PORT,
      // Clients of a writer that is none any more are cut off at once, so that they come back to the new one.
      deregistrationDelay: Duration.seconds(0),
      connectionTermination: true,
      // The database then sees the load balancer's addresses, which its security group names.
      preserveClientIp: false,
      healthCheck: {
        protocol: Protocol.TCP,
        interval: Duration.seconds(10),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 2,
      },
    });
    this.loadBalancer.addListener('Listener', {
      port: settings.port,
      protocol: Protocol.TCP,
      tcpIdleTimeout: Duration.seconds(settings.idleTimeoutSeconds),
      defaultTargetGroups: [this.targetGroup],
    });
    new EndpointSync(this, 'Sync', { targetGroup: this.targetGroup, database });
    new CfnOutput(this, 'Address', {
      description: 'Address of the target for applications',
      value: `${this.loadBalancer.loadBalancerDnsName}:${settings.port}`,
    });
  }
}
