import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { targetGroup } from '../../../assets/endpoint-sync/target-group';

/** Speaks the protocol of Elastic Load Balancing for the three calls: a form in, XML out. */
const requests: URLSearchParams[] = [];
let server: Server;
let client: ElasticLoadBalancingV2Client;

const member = ([address, state]: readonly [string, string]): string =>
  `<member><Target><Id>${address}</Id><Port>5432</Port></Target><TargetHealth><State>${state}</State></TargetHealth></member>`;

const TARGETS = [
  ['10.0.0.1', 'healthy'],
  ['10.0.0.2', 'draining'],
  ['10.0.0.3', 'initial'],
] as const;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const form = new URLSearchParams(body);
      requests.push(form);
      const action = form.get('Action') ?? '';
      const health = action === 'DescribeTargetHealth' ? TARGETS.map(member).join('') : '';
      response.setHeader('content-type', 'text/xml');
      response.end(
        `<${action}Response xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><${action}Result><TargetHealthDescriptions>${health}</TargetHealthDescriptions></${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = new ElasticLoadBalancingV2Client({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
});

afterAll(async () => {
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
});

beforeEach(() => requests.splice(0));

const group = () => targetGroup(client, 'arn:group', 5432);

test('a target on its way out does not count as registered', async () => {
  expect(await group().registered()).toEqual(['10.0.0.1', '10.0.0.3']);
  expect(requests[0]?.get('TargetGroupArn')).toBe('arn:group');
});

test.each([
  ['register', 'RegisterTargets'],
  ['deregister', 'DeregisterTargets'],
] as const)('%s names group, address and port', async (method, action) => {
  await group()[method](['10.0.0.9']);
  expect(Object.fromEntries(requests[0] ?? [])).toMatchObject({
    Action: action,
    TargetGroupArn: 'arn:group',
    'Targets.member.1.Id': '10.0.0.9',
    'Targets.member.1.Port': '5432',
  });
});
