import { overlap } from './cidr';
import type { Combination } from './combination';
import { CALLED_SERVICES } from './network-types';

/** What network, source and endpoint demand of each other. */
export const networkCombinations: readonly Combination[] = [
  [
    ['source.reach', 'source.cidrs'],
    ({ source }, mistakes) => {
      if (source.reach === 'private' && source.cidrs === 'anywhere') {
        mistakes.add(
          'source.cidrs',
          source.cidrs,
          'must name the networks of a source with reach "private": a stolen host would have a way out to every database of the internet',
        );
      }
    },
  ],
  [
    ['source.reach', 'source.cidrs', 'network.cidr', 'network.existing'],
    ({ source, network }, mistakes) => {
      // A source may well live in the VPC that exists.
      if (network.existing) return;
      if (source.reach !== 'private' || source.cidrs === 'anywhere') return;
      for (const cidr of source.cidrs) {
        if (overlap(cidr, network.cidr)) {
          mistakes.add('network.cidr', network.cidr, `must not overlap source.cidrs (${cidr}): it could not be routed`);
        }
      }
    },
  ],
  [
    ['network.availabilityZones', 'network.natGateways'],
    ({ network }, mistakes) => {
      const zones = network.availabilityZones?.length ?? 2;
      if (network.natGateways > zones) {
        mistakes.add('network.natGateways', network.natGateways, `must be at most ${zones}, one for each zone`);
      }
    },
  ],
  [
    ['network.availabilityZones', 'network.existing'],
    ({ network: { existing, availabilityZones } }, mistakes) => {
      if (!existing) return;
      if (!availabilityZones) {
        mistakes.add(
          'network.availabilityZones',
          availabilityZones,
          'must name the zones of network.existing: the volume is made in the zone of the host, or could not be attached',
        );
        return;
      }
      const lists = { hostSubnetIds: existing.hostSubnetIds, databaseSubnetIds: existing.databaseSubnetIds };
      for (const [name, ids] of Object.entries({
        ...lists,
        ...((existing.publicSubnetIds ?? []).length > 0 && { publicSubnetIds: existing.publicSubnetIds ?? [] }),
      })) {
        if (ids.length !== availabilityZones.length || new Set(ids).size !== ids.length) {
          mistakes.add(
            `network.existing.${name}`,
            ids,
            `must be ${availabilityZones.length} different subnets, one in each of network.availabilityZones`,
          );
        }
      }
    },
  ],
  [
    ['network.existing', 'endpoint.scheme'],
    ({ network: { existing }, endpoint }, mistakes) => {
      if (endpoint.scheme !== 'internet-facing' || !existing || (existing.publicSubnetIds ?? []).length > 0) return;
      mistakes.add(
        'network.existing.publicSubnetIds',
        existing.publicSubnetIds,
        'must name subnets with an internet gateway: endpoint.scheme is "internet-facing", and nobody would reach it',
      );
    },
  ],
  [
    ['network.interfaceEndpoints'],
    ({ network: { interfaceEndpoints } }, mistakes) => {
      const systemsManager = (['ssm', 'ssmmessages', 'ec2messages'] as const).filter((service) =>
        interfaceEndpoints.includes(service),
      );
      if (systemsManager.length > 0 && systemsManager.length < 3) {
        mistakes.add(
          'network.interfaceEndpoints',
          interfaceEndpoints,
          'must have all of ssm, ssmmessages and ec2messages or none: runbooks lose the host when only some of them fail',
        );
      }
      if (new Set(interfaceEndpoints).size !== interfaceEndpoints.length) {
        mistakes.add('network.interfaceEndpoints', interfaceEndpoints, 'must name each service once');
      }
    },
  ],
  [
    ['network'],
    ({ network: { httpEgress, interfaceEndpoints, existing, cidr } }, mistakes) => {
      if (httpEgress === 'anywhere') return;
      // An existing VPC may have endpoints of its own, which are somewhere in it.
      if (existing && httpEgress.cidrs.some((each) => overlap(each, cidr))) return;
      const missing = CALLED_SERVICES.filter((service) => !interfaceEndpoints.includes(service));
      if (missing.length === 0) return;
      mistakes.add(
        'network.interfaceEndpoints',
        interfaceEndpoints,
        `must also have ${missing.join(', ')}: with network.httpEgress limited the host has no other way to them, and neither boots nor obeys a runbook`,
      );
    },
  ],
  [
    ['endpoint.allowedCidrs', 'endpoint.allowEveryAddress'],
    ({ endpoint }, mistakes) => {
      if (!endpoint.allowEveryAddress && endpoint.allowedCidrs.some((cidr) => cidr.endsWith('/0'))) {
        mistakes.add(
          'endpoint.allowedCidrs',
          endpoint.allowedCidrs,
          "must not hold 0.0.0.0/0: name the applications' networks, or say endpoint.allowEveryAddress: true",
        );
      }
    },
  ],
  [
    ['endpoint.readerPort', 'endpoint.port', 'target.readers'],
    ({ endpoint, target }, mistakes) => {
      if (endpoint.readerPort === undefined) return;
      if (endpoint.readerPort === endpoint.port) {
        mistakes.add('endpoint.readerPort', endpoint.readerPort, 'must differ from endpoint.port');
      }
      if (target.readers === 0) {
        mistakes.add(
          'endpoint.readerPort',
          endpoint.readerPort,
          'needs target.readers of 1 or more: reads meant for a reader would load the writer',
        );
      }
    },
  ],
  [
    ['endpoint.source', 'endpoint.port', 'endpoint.readerPort', 'endpoint.scheme'],
    ({ endpoint: { source, port, readerPort, scheme } }, mistakes) => {
      if (source === undefined) return;
      if (source.otherPort === port || source.otherPort === readerPort) {
        mistakes.add('endpoint.source.otherPort', source.otherPort, 'must differ from endpoint.port and readerPort');
      }
      if (scheme === 'internet-facing') {
        mistakes.add(
          'endpoint.source',
          source.addresses,
          'needs endpoint.scheme "internal": it would show the source to the internet',
        );
      }
    },
  ],
  [
    ['endpoint.privateName', 'endpoint.scheme'],
    ({ endpoint }, mistakes) => {
      if (endpoint.privateName && endpoint.scheme === 'internet-facing') {
        mistakes.add(
          'endpoint.privateName',
          endpoint.privateName.recordName,
          'needs endpoint.scheme "internal": applications outside would not resolve the name on the day of the cutover',
        );
      }
    },
  ],
];
