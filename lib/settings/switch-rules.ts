import type { SwitchConfig } from '../../assets/agent/switch/config';
import { byDefault, integer, listOf, object, oneOf, text, type Rule } from './check';

type Of<Kind extends SwitchConfig['kind']> = Extract<SwitchConfig, { kind: Kind }>;

const moments = {
  at: byDefault(['switch'], listOf(oneOf('beforeFreeze', 'switch', 'afterOpen'), { min: 1, max: 3 })),
  timeoutSeconds: integer('seconds', 1, 600),
};

const rules: { readonly [Kind in SwitchConfig['kind']]: Rule<Of<Kind>> } = {
  command: object<Of<'command'>>({
    kind: oneOf('command'),
    command: listOf(text('must be a text that is not empty', /\S/), { min: 1, max: 50 }),
    ...moments,
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
