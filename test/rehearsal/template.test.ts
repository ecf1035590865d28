import { Template, withDefaults, type TemplateJson } from '../../lib/rehearsal/template';
import type { AutomationDocument } from '../../lib/rehearsal/automation/document';
import { bindParameters } from '../../lib/rehearsal/automation/parameters';

const STEPS = { mainSteps: [{ name: 'rest', action: 'aws:sleep', inputs: { Duration: 'PT1S' } }] };

const parameter = (type: string, value: unknown): unknown => ({ type, default: value });

const TEMPLATE = {
  Parameters: { Colour: { Type: 'String', Default: 'red' } },
  Resources: {
    Host: { Type: 'AWS::EC2::Instance', Properties: {} },
    Role: { Type: 'AWS::IAM::Role', Properties: {} },
    Topic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: { 'Fn::Sub': 'Automation-${AWS::StackName}' } } },
    Bucket: { Type: 'AWS::S3::Bucket' },
    Dump: {
      Type: 'AWS::SSM::Document',
      Properties: { Name: { 'Fn::Join': ['-', [{ Ref: 'AWS::StackName' }, 'dump']] }, Content: { ...STEPS } },
    },
    Unnamed: { Type: 'AWS::SSM::Document', Properties: { Content: `{ mainSteps: [{ name: a }] }` } },
    Migrate: {
      Type: 'AWS::SSM::Document',
      Properties: {
        Name: 'ibex-migrate',
        Content: {
          ...STEPS,
          schemaVersion: '0.3',
          parameters: {
            AutomationAssumeRole: parameter('AWS::IAM::Role::Arn', { 'Fn::GetAtt': ['Role', 'Arn'] }),
            InstanceId: parameter('AWS::EC2::Instance::Id', { Ref: 'Host' }),
            DumpRunbook: parameter('String', { Ref: 'Dump' }),
            ApprovalTopicArn: parameter('String', { Ref: 'Topic' }),
            Bucket: parameter('String', { 'Fn::GetAtt': ['Bucket', 'Arn'] }),
            Place: parameter('String', {
              'Fn::Sub': [
                '${AWS::Partition}/${AWS::Region}/${AWS::AccountId}/${Role.Arn}/${Own}/${!Kept}',
                { Own: { Ref: 'Colour' } },
              ],
            }),
            Second: parameter('String', { 'Fn::Select': [1, { 'Fn::Split': ['.', 'a.b.c'] }] }),
            Imported: parameter('String', { 'Fn::ImportValue': { 'Fn::Sub': '${AWS::StackName}-vpc' } }),
            Absent: parameter('String', { Ref: 'AWS::NoValue' }),
          },
        },
      },
    },
  },
} as const;

const template = (values: Record<string, unknown> = {}): Template =>
  new Template(TEMPLATE as unknown as TemplateJson, { stackName: 'ibex', values });

const defaults = (values: Record<string, unknown> = {}): Record<string, unknown> => {
  const migrate = template(values).documents().get('ibex-migrate') as AutomationDocument;
  return Object.fromEntries(Object.entries(migrate.parameters ?? {}).map(([name, one]) => [name, one.default]));
};

describe('the documents of a template', () => {
  test('are found by the names that they have in the account', () => {
    expect([...template().documents().keys()]).toEqual(['ibex-dump', 'ibex-Unnamed', 'ibex-migrate']);
  });

  test('are read from text, too', () => {
    expect(template().documents().get('ibex-Unnamed')).toEqual({ mainSteps: [{ name: 'a' }] });
  });

  test('refer to each other by these names', () => {
    expect(defaults()['DumpRunbook']).toBe('ibex-dump');
  });

  test('get stand-ins of the form that parameters and approvals demand', () => {
    const migrate = template().documents().get('ibex-migrate') as AutomationDocument;
    expect(() => bindParameters({ I: migrate.parameters!['InstanceId']! }, {})).not.toThrow();
    expect(() => bindParameters({ R: migrate.parameters!['AutomationAssumeRole']! }, {})).not.toThrow();
    expect(defaults()['ApprovalTopicArn']).toBe('arn:aws:sns:eu-central-1:123456789012:Automation-ibex');
  });

  test('get everything else as something that can be told as a stand-in', () => {
    expect(defaults()).toMatchObject({ Bucket: 'stand-in:Bucket.Arn', Imported: 'stand-in:ibex-vpc' });
  });

  test('get what they are told instead', () => {
    const values = { Host: 'i-11111111111111111', 'Bucket.Arn': 'arn:here', 'ibex-vpc': 'vpc-1' };
    expect(defaults(values)).toMatchObject({ InstanceId: values.Host, Bucket: 'arn:here', Imported: 'vpc-1' });
  });

  test('have the functions of CloudFormation worked out', () => {
    expect(defaults()).toMatchObject({
      Place: 'aws/eu-central-1/123456789012/arn:aws:iam::123456789012:role/ibex-Role/red/${Kept}',
      Second: 'b',
    });
    expect(defaults()).toHaveProperty('Absent', undefined);
  });

  test.each([
    [{ 'Fn::FindInMap': ['a', 'b', 'c'] }, 'the template uses Fn::FindInMap'],
    [{ Ref: 'Nobody' }, 'the template refers to Nobody'],
    [{ Ref: 'AWS::NotificationARNs' }, 'the template uses AWS::NotificationARNs'],
  ])('are refused with %j', (value, problem) => {
    expect(() => template().resolve({ deep: [value] })).toThrow(problem);
  });
});

test('withDefaults changes the defaults of the parameters that a runbook has, and nothing else', () => {
  const document: AutomationDocument = {
    schemaVersion: '0.3',
    parameters: { WaitSeconds: { type: 'String', default: '600' }, Other: { type: 'String' } },
    ...STEPS,
  };
  const changed = withDefaults(document, { WaitSeconds: '5', Unknown: 'x' });
  expect(changed.parameters).toEqual({ WaitSeconds: { type: 'String', default: '5' }, Other: { type: 'String' } });
  expect(document.parameters?.['WaitSeconds']?.default).toBe('600');
});
