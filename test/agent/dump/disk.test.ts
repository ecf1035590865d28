import type { Relation } from '../../../assets/agent/catalog/relations';
import { dumpBytes, freeBytes, size } from '../../../assets/agent/dump/disk';

const tables = [{ bytes: 2 ** 30 }, { bytes: 2 ** 30 }] as unknown as Relation[];

it('asks for more room the less the dump is compressed', () => {
  const [plain, compressed] = [dumpBytes(tables, 'none'), dumpBytes(tables, 'zstd:3')];
  expect(dumpBytes(tables, 'lz4')).toBeGreaterThan(compressed);
  expect(dumpBytes(tables, 'lz4')).toBeLessThan(plain);
  expect(plain).toBeGreaterThan(2 * 2 ** 30);
  expect(compressed).toBeGreaterThan(2 ** 30);
  expect(compressed).toBeLessThan(plain);
});

it('asks for some room even when there are no rows', () => {
  expect(dumpBytes([], 'gzip')).toBeGreaterThan(0);
});

it('knows the free bytes of a file system', async () => {
  expect(await freeBytes('/')).toBeGreaterThan(0);
});

it.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1536, '1.5 kB'],
  [150 * 2 ** 20, '150 MB'],
  [5 * 2 ** 40, '5.0 TB'],
])('writes %i as %s', (bytes, text) => expect(size(bytes)).toBe(text));
