import { CfnSecurityGroupIngress, Peer, Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import { Database } from '../database';
import type { Endpoint } from '../endpoint';
import type { Network } from '../network';
import type { ResolvedPooler, ResolvedSettings } from '../settings';
import { allowHttp, allowSource } from '../ways-out';

/** Port of PgBouncer on its instances: `listen_port` of assets/pooler/pgbouncer.ini. */
export const POOLER_PORT = 6432;
/** Port of its console on its instances: `accept` of assets/pooler/stunnel.conf. */
export const CONSOLE_PORT = 6433;

export interface OpeningsProps {
  readonly network: Network;
  readonly database: Database;
  readonly endpoint: Endpoint;
  readonly pooler: ResolvedPooler;
  readonly settings: ResolvedSettings;
}

/**
 * Who reaches whom: clients the load balancer, that the pooler, that the database; out go AWS, package sources and,
 * while there is one, the source. The console is opened by the migration stack, for its host alone.
 */
export function poolerSecurityGroup(scope: Construct, id: string, props: OpeningsProps): SecurityGroup {
  const { network, database, endpoint, pooler, settings } = props;
  const group = new SecurityGroup(scope, id, {
    vpc: network.vpc,
    description: 'Pooler; peers are named one by one',
    allowAllOutbound: false,
  });
  const { connections } = endpoint.loadBalancer;
  for (const cidr of settings.endpoint.allowedCidrs) {
    connections.allowFrom(Peer.ipv4(cidr), Port.tcp(pooler.port), 'Applications, to the pooler');
  }
  connections.allowTo(group, Port.tcp(POOLER_PORT), 'Load balancer to pooler');
  group.connections.allowTo(database.securityGroup, Port.tcp(Database.PORT), 'Pooler to database');
  allowHttp(group, settings.network, network);
  if (pooler.source) allowSource(group, settings.source);
  if (network.interfaceEndpoints) {
    new CfnSecurityGroupIngress(scope, 'ToServices', {
      groupId: network.interfaceEndpoints.securityGroup.securityGroupId,
      sourceSecurityGroupId: group.securityGroupId,
      ipProtocol: 'tcp',
      fromPort: 443,
      toPort: 443,
      description: 'Pooler',
    });
  }
  return group;
}
