import type { SwitchConfig } from '../../assets/agent/switch/config';
import { arn, byDefault, integer, listOf, object, oneOf, optional, text, type Rule } from './check';

type Of<Kind extends SwitchConfig['kind']> = Extract<SwitchConfig, { kind: Kind }>;

const moments = {
  at: byDefault(['switch'], listOf(oneOf('beforeFreeze', 'switch', 'afterOpen'), { min: 1, max: 3 })),
  timeoutSeconds: integer('seconds', 1, 600),
};

const budgetSeconds = optional(integer('seconds', 1, 300));

const part = (resource: string, example: string): Rule<string> =>
  text(
    `must be an ARN such as "arn:aws:elasticloadbalancing:eu-west-1:123456789012:${example}"`,
    new RegExp(`^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\\d{12}:${resource}\\S+$`),
  );
const hostName = text(
  'must be a whole host name or an IPv4 address',
  /^([A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9-]{1,63}\.?$/,
);

const rules: { readonly [Kind in SwitchConfig['kind']]: Rule<Of<Kind>> } = {
  command: object<Of<'command'>>({
    kind: oneOf('command'),
    command: listOf(text('must be a text that is not empty', /\S/), { min: 1, max: 50 }),
    ...moments,
  }),
  automation: object<Of<'automation'>>({
    kind: oneOf('automation'),
    document: text('must be the name of a document', /^[\w.-]{3,128}$/),
    roleArn: optional(arn('iam::\\d{12}', 'arn:aws:iam::123456789012:role/rollout')),
    ...moments,
  }),
  lambda: object<Of<'lambda'>>({
    kind: oneOf('lambda'),
    function: text('must be the name of a function', /^[\w-]{1,64}$/),
    ...moments,
  }),
  nlb: object<Of<'nlb'>>({
    kind: oneOf('nlb'),
    listenerArn: part('listener/net/', 'listener/net/shop/0123456789abcdef/0123456789abcdef'),
    sourceGroupArn: part('targetgroup/', 'targetgroup/old/0123456789abcdef'),
    targetGroupArn: part('targetgroup/', 'targetgroup/new/0123456789abcdef'),
    budgetSeconds,
    settleSeconds: byDefault(60, integer('seconds', 1, 600)),
  }),
  dns: object<Of<'dns'>>({
    kind: oneOf('dns'),
    hostedZoneId: text('must be the id of a hosted zone, such as "Z0123456789ABCDEFGHIJ"', /^Z[A-Z0-9]{5,31}$/),
    name: hostName,
    type: oneOf('CNAME', 'A'),
    source: hostName,
    target: hostName,
    budgetSeconds,
    ttlSeconds: byDefault(5, integer('seconds', 1, 300)),
  }),
  pooler: object<Of<'pooler'>>({ kind: oneOf('pooler') }),
};

const kinds = Object.keys(rules) as SwitchConfig['kind'][];

const switchRule: Rule<SwitchConfig> = (value, path, mistakes) => {
  const kind = (value as { kind?: unknown } | null | undefined)?.kind;
  const known = kinds.find((each) => each === kind);
  if (known === undefined) {
    mistakes.add(`${path}.kind`, kind, `must be ${kinds.map((each) => JSON.stringify(each)).join(' or ')}`);
    return value as SwitchConfig;
  }
  return rules[known](value, path, mistakes);
};

/** Rules about what moves the clients. */
export const switchesRule: Rule<readonly SwitchConfig[]> = listOf(switchRule, { max: 10 });
