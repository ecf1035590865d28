import { BlockList, isIPv4 } from 'node:net';

const split = (cidr: string): { readonly address: string; readonly prefix: number } | undefined => {
  const [, address, prefix] = /^([\d.]+)\/(\d{1,2})$/.exec(cidr) ?? [];
  return address !== undefined && isIPv4(address) && Number(prefix) <= 32
    ? { address, prefix: Number(prefix) }
    : undefined;
};

const bits = (address: string): number => address.split('.').reduce((number, part) => number * 256 + Number(part), 0);

/** Whether the text is an IPv4 network such as `10.0.0.0/16`, without bits set behind the prefix. */
export function isCidr(cidr: string): boolean {
  const network = split(cidr);
  return network !== undefined && bits(network.address) % 2 ** (32 - network.prefix) === 0;
}

/** Whether the text is a network that is not the whole internet. */
export const isLimitedCidr = (cidr: string): boolean => isCidr(cidr) && prefixOf(cidr) > 0;

/** Length of the prefix of a network. Throws TypeError when it is none. */
export function prefixOf(cidr: string): number {
  const network = split(cidr);
  if (!network) throw new TypeError(`${cidr} is no IPv4 network`);
  return network.prefix;
}

/** Whether two networks share addresses: one of them then holds the other's first. */
export function overlap(a: string, b: string): boolean {
  const holds = (outer: string, inner: string): boolean => {
    const list = new BlockList();
    list.addSubnet(outer.split('/')[0] ?? '', prefixOf(outer));
    return list.check(inner.split('/')[0] ?? '');
  };
  return holds(a, b) || holds(b, a);
}
