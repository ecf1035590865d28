import { targetGroup } from '../../../assets/endpoint-sync/target-group';
import { startLoadBalancer, type TestLoadBalancer } from './load-balancer';

let balancer: TestLoadBalancer;
beforeAll(async () => {
  balancer = await startLoadBalancer();
  balancer.create('arn:group', { '10.0.0.1': 'healthy', '10.0.0.2': 'draining', '10.0.0.3': 'initial' });
});
afterAll(() => balancer.close());

const group = () => targetGroup(balancer.client, 'arn:group', 5432);

test('a target on its way out does not count as registered', async () => {
  expect(await group().registered()).toEqual(['10.0.0.1', '10.0.0.3']);
});

test.each([
  ['register', 'RegisterTargets'],
  ['deregister', 'DeregisterTargets'],
] as const)('%s names group, addresses and port', async (method, action) => {
  await group()[method](['10.0.0.8', '10.0.0.9']);
  expect(balancer.calls.at(-1)).toEqual({
    action,
    arn: 'arn:group',
    addresses: ['10.0.0.8', '10.0.0.9'],
    ports: ['5432', '5432'],
  });
});
