import { resolveSettings } from '../../lib/settings';
import { hostForSize } from '../../lib/settings/host-size';
import { leastSettings } from '../helpers/app';
import { mistakesOf } from '../helpers/settings';

const withSize = (sizeGiB: number, host = {}) => ({
  ...leastSettings,
  source: { ...leastSettings.source, sizeGiB },
  host,
});

describe('the size of the database chooses the host', () => {
  test.each<[number, string, number]>([
    [1, 'm6i.xlarge', 60],
    [100, 'm6i.xlarge', 120],
    [101, 'm6i.2xlarge', 120],
    [500, 'm6i.2xlarge', 380],
    [4_000, 'm6i.4xlarge', 2_650],
    [20_000, 'm6i.8xlarge', 13_050],
  ])('%i GiB: %s with a volume of %i GiB', (sizeGiB, instanceType, volume) => {
    const { host } = resolveSettings(withSize(sizeGiB));
    expect(host).toMatchObject({ instanceType, volume: { sizeGiB: volume } });
  });

  test('with no more from the volume than the instance sustains, so that every size is sound', () => {
    for (const sizeGiB of [1, 100, 500, 4_000, 65_536]) expect(mistakesOf(withSize(sizeGiB))).toEqual([]);
    expect(hostForSize(100).volume).toMatchObject({ iops: 6_000, throughputMiBs: 149 });
  });

  test('and what is given for the host goes before it', () => {
    const { host } = resolveSettings(withSize(4_000, { instanceType: 'm6i.xlarge', volume: { sizeGiB: 200 } }));
    expect(host).toMatchObject({
      instanceType: 'm6i.xlarge',
      volume: { sizeGiB: 200, iops: 6_000, throughputMiBs: 149 },
    });
  });

  test.each([0, 65_537, 'huge'])(
    '%j GiB is refused: a dump would fill its volume in the middle of the night',
    (sizeGiB) => {
      expect(mistakesOf(withSize(sizeGiB as number))).toEqual([expect.stringContaining('source.sizeGiB is ')]);
    },
  );
});
