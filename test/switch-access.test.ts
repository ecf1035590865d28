import type { SwitchConfig } from '../assets/agent/switch/config';
import { leastSettings, statement, templatesOf } from './helpers/app';

const balancing = 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:';
const switches: readonly SwitchConfig[] = [
  { kind: 'lambda', function: 'rollout', timeoutSeconds: 10 },
  {
    kind: 'automation',
    document: 'shop-rollout',
    roleArn: 'arn:aws:iam::123456789012:role/rollout',
    timeoutSeconds: 10,
  },
  {
    kind: 'nlb',
    listenerArn: `${balancing}listener/net/shop/1/2`,
    sourceGroupArn: `${balancing}targetgroup/old/1`,
    targetGroupArn: `${balancing}targetgroup/new/2`,
    settleSeconds: 60,
  },
  {
    kind: 'dns',
    hostedZoneId: 'Z0123456789ABCDEFGHIJ',
    name: 'DB.example.org.',
    type: 'CNAME',
    source: 'old.example.org',
    target: 'new.example.org',
    ttlSeconds: 5,
  },
];
const { migration } = templatesOf({ ...leastSettings, agent: { ...leastSettings.agent, cutover: { switches } } });

test.each([
  ['SwitchFunctions', /:function:rollout"/],
  ['SwitchDocuments', /:automation-definition\/shop-rollout:\*"/],
  ['SwitchDocumentsLook', /:document\/shop-rollout"/],
  ['SwitchRoles', /"arn:aws:iam::123456789012:role\/rollout"/],
  ['SwitchListeners', /listener\/net\/shop\/1\/2"/],
  ['SwitchRecords', /:route53:::hostedzone\/Z0123456789ABCDEFGHIJ"/],
])('%s are those of the settings and no others', (sid, resource) => {
  const { Resource } = statement(migration, sid);
  expect(Array.isArray(Resource)).toBe(false);
  expect(JSON.stringify(Resource)).toMatch(resource);
});

test('of the zone only the record of the settings may be changed, and it cannot be deleted', () => {
  expect(statement(migration, 'SwitchRecords')['Condition']).toEqual({
    'ForAllValues:StringEquals': {
      'route53:ChangeResourceRecordSetsNormalizedRecordNames': ['db.example.org'],
      'route53:ChangeResourceRecordSetsActions': ['UPSERT'],
    },
  });
});

test('a host without such switches may do none of it', () => {
  const text = JSON.stringify(templatesOf(leastSettings).migration.toJSON());
  expect(text).not.toContain('"Switch');
});
