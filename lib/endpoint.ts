import { CfnOutput, Duration } from 'aws-cdk-lib';
import { Peer, Port, SecurityGroup, SubnetType, type IVpc } from 'aws-cdk-lib/aws-ec2';
import { IpTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2-targets';
import {
  NetworkLoadBalancer,
  NetworkTargetGroup,
  Protocol,
  TargetType,
  type NetworkListener,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { ARecord, PrivateHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import { Database } from './database';
import { EndpointSync } from './endpoint-sync';
import type { ResolvedSettings } from './settings';

type Settings = ResolvedSettings['endpoint'];

export interface EndpointProps {
  readonly vpc: IVpc;
  readonly database: Database;
  readonly settings: Settings;
  /** Whether AWS refuses to delete the load balancer. */
  readonly deletionProtection: boolean;
}

/**
 * The applications' address: a network load balancer whose one target is the writer, and, where the settings say so, a
 * second listener whose targets are the readers. The addresses of a database change at a failover, so EndpointSync
 * keeps the target groups right. A new target takes minutes to be healthy; who wants seconds uses the database's own
 * endpoint.
 */
export class Endpoint extends Construct {
  readonly loadBalancer: NetworkLoadBalancer;
  readonly targetGroup: NetworkTargetGroup;
  /** Absent without a port for readers. */
  readonly readerTargetGroup?: NetworkTargetGroup;
  readonly sync: EndpointSync;
  /** Name by which applications connect. */
  readonly address: string;
  readonly port: number;
  /** The certificate is the database's: it names that, not the load balancer. */
  readonly sslmode = 'verify-ca';

  constructor(scope: Construct, id: string, { vpc, database, settings, deletionProtection }: EndpointProps) {
    super(scope, id);
    this.port = settings.port;
    const ports = [settings.port, settings.readerPort, settings.source?.otherPort].filter((port) => port !== undefined);
    // A load balancer that is made without a security group can never be given one.
    const securityGroup = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Address of the applications',
      allowAllOutbound: false,
    });
    for (const cidr of settings.allowedCidrs) {
      for (const port of ports) securityGroup.addIngressRule(Peer.ipv4(cidr), Port.tcp(port), 'Applications');
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
    this.targetGroup = this.targets('Writer', vpc, Database.PORT);
    if (settings.source) this.beginAtSource(settings.source, vpc, securityGroup, settings);
    else this.listen('Listener', settings.port, this.targetGroup, settings);
    if (settings.readerPort !== undefined) {
      this.readerTargetGroup = this.targets('Readers', vpc, Database.PORT);
      this.listen('ReaderListener', settings.readerPort, this.readerTargetGroup, settings);
    }
    this.sync = new EndpointSync(this, 'Sync', {
      targetGroup: this.targetGroup,
      ...(this.readerTargetGroup && { readerTargetGroup: this.readerTargetGroup }),
      database,
    });
    this.address = this.privateName(settings) ?? this.loadBalancer.loadBalancerDnsName;
    new CfnOutput(this, 'Address', {
      description: 'Address of the target for applications',
      value: `${this.address}:${settings.port}`,
    });
  }

  /**
   * The address leads to the source until the switch `nlb` turns its listener round; the target waits behind a listener of
   * its own, so that it is checked. CloudFormation does not look at what a listener leads to until its template changes:
   * after the cutover `endpoint.source` is taken out of the settings, which leads it to the target as well.
   */
  private beginAtSource(
    source: NonNullable<Settings['source']>,
    vpc: IVpc,
    securityGroup: SecurityGroup,
    settings: Settings,
  ): void {
    const group = this.targets('Source', vpc, source.port);
    for (const address of source.addresses) {
      // Outside the VPC no zone is known.
      group.addTarget(new IpTarget(address, source.port, 'all'));
      securityGroup.addEgressRule(Peer.ipv4(`${address}/32`), Port.tcp(source.port), 'Load balancer to source');
    }
    const listener = this.listen('Listener', settings.port, group, settings);
    this.listen('OtherListener', source.otherPort, this.targetGroup, settings);
    new CfnOutput(this, 'Switch', {
      description: 'For agent.cutover.switches: how the address is led to the target',
      value: `{ kind: 'nlb', listenerArn: '${listener.listenerArn}', sourceGroupArn: '${group.targetGroupArn}', targetGroupArn: '${this.targetGroup.targetGroupArn}' }`,
    });
  }

  private targets(id: string, vpc: IVpc, port: number): NetworkTargetGroup {
    const group = new NetworkTargetGroup(this, id, {
      vpc,
      targetType: TargetType.IP,
      protocol: Protocol.TCP,
      port,
      // Clients of a server that has left the group are cut off at once, so that they come back to the right one.
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
    // Who hangs on a server that died is told so, instead of waiting for the keepalive.
    group.setAttribute('target_health_state.unhealthy.connection_termination.enabled', 'true');
    return group;
  }

  private listen(id: string, port: number, group: NetworkTargetGroup, settings: Settings): NetworkListener {
    return this.loadBalancer.addListener(id, {
      port,
      protocol: Protocol.TCP,
      tcpIdleTimeout: Duration.seconds(settings.idleTimeoutSeconds),
      defaultTargetGroups: [group],
    });
  }

  /** The name of the settings, in a zone that exists; the record follows the load balancer's addresses by itself. */
  private privateName({ privateName }: Settings): string | undefined {
    if (!privateName) return undefined;
    const zone = PrivateHostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: privateName.hostedZoneId,
      zoneName: privateName.zoneName,
    });
    new ARecord(this, 'Name', {
      zone,
      recordName: privateName.recordName,
      target: RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer)),
      comment: 'Ibex: address of the target for applications',
    });
    return `${privateName.recordName}.${privateName.zoneName}`;
  }
}
