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
  for (const peer of peersOf(cidrs)) group.addEgressRule(peer, Port.tcp(port), 'Source');
}

/** Lets a group out to the fork that is dumped, where the source's own rules do not. */
export function allowFork(group: SecurityGroup, { fork, cidrs, port }: ResolvedSettings['source']): void {
  if (!fork) return;
  // EC2 refuses a rule that is there already, though under another description.
  const open = new Set(fork.port === port ? peersOf(cidrs).map(({ uniqueId }) => uniqueId) : []);
  for (const peer of peersOf(fork.cidrs)) {
    if (!open.has(peer.uniqueId)) group.addEgressRule(peer, Port.tcp(fork.port), 'Fork that is dumped');
  }
}

const peersOf = (cidrs: ResolvedSettings['source']['cidrs']): readonly IPeer[] =>
  cidrs === 'anywhere' ? [Peer.anyIpv4()] : cidrs.map((cidr) => Peer.ipv4(cidr));
