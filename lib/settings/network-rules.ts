import { byDefault, integer, listOf, object, oneOf, optional, text, wordOr } from './check';
import { isCidr, isLimitedCidr, prefixOf } from './cidr';
import { INTERFACE_ENDPOINTS, type HttpDestinations } from './network-types';
import type { ResolvedSettings } from './types';

type Network = ResolvedSettings['network'];

const id = (kind: string) =>
  text(`must be an id such as "${kind}-0123456789abcdef0"`, new RegExp(`^${kind}-[0-9a-f]{8,17}$`));
const subnets = listOf(id('subnet'), { min: 2, max: 3 });

/** Networks that connections may be opened to. The whole internet is no network here: it has a word of its own. */
export const destinations = listOf(
  text(
    'must be an IPv4 network such as "203.0.113.0/24"; for every address say "anywhere" in place of the list',
    isLimitedCidr,
  ),
  { min: 1, max: 20 },
);

/** Rules about the VPC. */
export const networkRule = object<Network>({
  httpEgress: wordOr(
    'anywhere',
    'an object with cidrs and prefixListIds: the host fetches packages and reaches AWS, and a way out to every address is opened only by that word',
    object<HttpDestinations>({
      cidrs: destinations,
      prefixListIds: listOf(text('must be the id of a prefix list, such as "pl-6da54004"', /^pl-[0-9a-f]{8,17}$/), {
        min: 1,
        max: 5,
      }),
    }),
  ),
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
