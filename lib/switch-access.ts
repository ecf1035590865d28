import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import type { SwitchConfig } from '../assets/agent/switch/config';

type Of<Kind extends SwitchConfig['kind']> = Extract<SwitchConfig, { kind: Kind }>;

const of = <Kind extends SwitchConfig['kind']>(switches: readonly SwitchConfig[], kind: Kind): Of<Kind>[] =>
  switches.filter((each): each is Of<Kind> => each.kind === kind);

/** Lets the host move the clients by what the settings name, and by nothing else. */
export function allowSwitches(role: Role, switches: readonly SwitchConfig[]): void {
  const stack = Stack.of(role);
  const allow = (sid: string, actions: string[], resources: string[], conditions?: Record<string, unknown>): void => {
    if (resources.length === 0) return;
    role.addToPolicy(new PolicyStatement({ sid, actions, resources, ...(conditions && { conditions }) }));
  };
  const arn = (service: string, resource: string, resourceName: string, global = false): string =>
    stack.formatArn({ service, resource, resourceName, ...(global && { region: '', account: '' }) });

  const functions = of(switches, 'lambda').map((each) =>
    stack.formatArn({ service: 'lambda', resource: `function:${each.function}` }),
  );
  allow('SwitchFunctions', ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'], functions);

  const documents = of(switches, 'automation');
  const names = documents.map(({ document }) => document);
  allow(
    'SwitchDocuments',
    ['ssm:StartAutomationExecution'],
    names.map((name) => arn('ssm', 'automation-definition', `${name}:*`)),
  );
  allow(
    'SwitchDocumentsLook',
    ['ssm:DescribeDocument'],
    names.map((name) => arn('ssm', 'document', name)),
  );
  allow(
    'SwitchExecutions',
    ['ssm:GetAutomationExecution', 'ssm:StopAutomationExecution'],
    documents.length === 0 ? [] : [arn('ssm', 'automation-execution', '*')],
  );
  allow(
    'SwitchRoles',
    ['iam:PassRole'],
    documents.flatMap(({ roleArn }) => (roleArn === undefined ? [] : [roleArn])),
    { StringEquals: { 'iam:PassedToService': 'ssm.amazonaws.com' } },
  );

  const balancers = of(switches, 'nlb');
  allow(
    'SwitchListeners',
    ['elasticloadbalancing:ModifyListener'],
    balancers.map(({ listenerArn }) => listenerArn),
  );
  // AWS knows no resource for these two.
  allow(
    'SwitchListenersLook',
    ['elasticloadbalancing:DescribeListeners', 'elasticloadbalancing:DescribeTargetHealth'],
    balancers.length === 0 ? [] : ['*'],
  );

  const records = of(switches, 'dns');
  const zones = records.map(({ hostedZoneId }) => arn('route53', 'hostedzone', hostedZoneId, true));
  const unique = [...new Set(zones)];
  allow('SwitchRecords', ['route53:ChangeResourceRecordSets'], unique, {
    'ForAllValues:StringEquals': {
      'route53:ChangeResourceRecordSetsNormalizedRecordNames': records.map(({ name }) =>
        name.toLowerCase().replace(/\.$/, ''),
      ),
      'route53:ChangeResourceRecordSetsActions': ['UPSERT'],
    },
  });
  allow('SwitchRecordsLook', ['route53:ListResourceRecordSets'], unique);
  allow('SwitchChanges', ['route53:GetChange'], records.length === 0 ? [] : [arn('route53', 'change', '*', true)]);
}
