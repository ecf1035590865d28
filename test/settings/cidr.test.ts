import { isCidr, overlap, prefixOf } from '../../lib/settings/cidr';

test.each(['10.0.0.0/8', '0.0.0.0/0', '203.0.113.7/32', '192.168.128.0/17'])('%s is a network', (cidr) => {
  expect(isCidr(cidr)).toBe(true);
});

test.each(['10.0.0.0', '10.0.0.1/8', '10.0.0.0/33', '10.0.0/8', '256.0.0.0/8', '::/0', '', '1/'])(
  '%j is none',
  (cidr) => {
    expect(isCidr(cidr)).toBe(false);
  },
);

test('networks overlap when one holds the other, whichever is named first', () => {
  expect(overlap('10.0.0.0/8', '10.64.0.0/16')).toBe(true);
  expect(overlap('10.64.0.0/16', '10.0.0.0/8')).toBe(true);
  expect(overlap('10.64.0.0/16', '10.65.0.0/16')).toBe(false);
});

test('the prefix of what is no network is refused by name', () => {
  expect(prefixOf('10.0.0.0/8')).toBe(8);
  expect(() => prefixOf('ten')).toThrow(new TypeError('ten is no IPv4 network'));
});
