import { readerAddresses } from '../../../assets/endpoint-sync/addresses';
import { metricLine } from '../../../assets/endpoint-sync/metrics';

const names: Record<string, string[]> = { a: ['10.0.0.1'], b: ['10.0.0.2'], c: ['10.0.0.3'] };
const resolve = async (name: string): Promise<string[]> => {
  const addresses = names[name];
  if (!addresses) throw Object.assign(new Error(`queryA ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
  return addresses;
};

test('readers are all servers but the writer, whichever that is now', async () => {
  expect(await readerAddresses(['a', 'b', 'c'], ['10.0.0.1'], resolve)).toEqual(['10.0.0.2', '10.0.0.3']);
  expect(await readerAddresses(['a', 'b', 'c'], ['10.0.0.3'], resolve)).toEqual(['10.0.0.1', '10.0.0.2']);
});

test('a server without an address is left out', async () => {
  expect(await readerAddresses(['a', 'b', 'gone'], ['10.0.0.1'], resolve)).toEqual(['10.0.0.2']);
});

test('without any reader the writer stands in: the group is never empty', async () => {
  expect(await readerAddresses(['a', 'gone'], ['10.0.0.1'], resolve)).toEqual(['10.0.0.1']);
});

test('metrics are one JSON line, whose names are those of the alarm', () => {
  const line = metricLine('sync', 'writer', { targets: 1, changes: 2 }, new Date(0));
  expect(line).not.toContain('\n');
  expect(JSON.parse(line)).toMatchObject({
    _aws: { Timestamp: 0, CloudWatchMetrics: [{ Namespace: 'Ibex/EndpointSync', Dimensions: [['Function', 'Role']] }] },
    Function: 'sync',
    Role: 'writer',
    Targets: 1,
    Changes: 2,
  });
});
