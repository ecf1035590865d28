import { byDefault, integer, listOf, object, oneOf, optional, text } from './check';
import { isCidr, prefixOf } from './cidr';
import { INTERFACE_ENDPOINTS } from './network-types';
import type { ResolvedSettings } from './types';

type Network = ResolvedSettings['network'];

const id = (kind: string) =>
  text(`must be an id such as "${kind}-0123456789abcdef0"`, new RegExp(`^${kind}-[0-9a-f]{8,17}$`));
const subnets = listOf(id('subnet'), { min: 2, max: 3 });

/** Rules about the VPC. */
export const networkRule = object<Network>({
  cidr: byDefault(
    '10.64.0.0/16',
    text(
      'must be an IPv4 network from /16 to /24, such as "10.64.0.0/16"',
      (value) => isCidr(value) && prefixOf(value) >= 16 && prefixOf(value) <= 24,
    ),
  ),
  availabilityZones: optional(
    listOf(text('must be the name of an availability zone, such as "eu-west-1a"', /^[a-z]{2}(-[a-z]+)+-\d[a-z]$/), {
      min: 2,
      max: 3,
    }),
  ),
  natGateways: byDefault(1, integer('NAT gateways', 1, 3)),
  flowLogDays: byDefault(30, oneOf(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)),
  interfaceEndpoints: byDefault([], listOf(oneOf(...INTERFACE_ENDPOINTS), { max: INTERFACE_ENDPOINTS.length })),
  existing: optional(
    object<NonNullable<Network['existing']>>({
      vpcId: id('vpc'),
      hostSubnetIds: subnets,
      databaseSubnetIds: subnets,
      publicSubnetIds: byDefault([], listOf(id('subnet'), { max: 3 })),
      natAddresses: byDefault(
        [],
        listOf(
          text('must be an IPv4 address', (value) => isCidr(`${value}/32`)),
          { max: 10 },
        ),
      ),
    }),
  ),
});
