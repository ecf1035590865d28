import { Peer, Port, type IPeer, type SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import type { Network } from './network';
import type { ResolvedSettings } from './settings';

/** Lets a group out to package sources and AWS, as far as `network.httpEgress` says, and to the VPC's own endpoints. */
export function allowHttp(
  group: SecurityGroup,
  { httpEgress }: ResolvedSettings['network'],
  { interfaceEndpoints }: Network,
): void {
  const aws = 'AWS and package sources';
  for (const peer of httpEgress === 'anywhere' ? [Peer.anyIpv4()] : httpEgress.cidrs.map((cidr) => Peer.ipv4(cidr))) {
    group.addEgressRule(peer, Port.HTTPS, aws);
    group.addEgressRule(peer, Port.HTTP, 'Debian packages, which are signed');
  }
  if (httpEgress === 'anywhere') return;
  for (const id of httpEgress.prefixListIds) group.addEgressRule(Peer.prefixList(id), Port.HTTPS, aws);
  if (interfaceEndpoints) group.addEgressRule(interfaceEndpoints.securityGroup, Port.HTTPS, 'AWS inside the VPC');
}

/** Lets a group out to the source, as far as `source.cidrs` says. */
export function allowSource(group: SecurityGroup, { cidrs, port }: ResolvedSettings['source']): void {
  const peers: readonly IPeer[] = cidrs === 'anywhere' ? [Peer.anyIpv4()] : cidrs.map((cidr) => Peer.ipv4(cidr));
  for (const peer of peers) group.addEgressRule(peer, Port.tcp(port), 'Source');
}
