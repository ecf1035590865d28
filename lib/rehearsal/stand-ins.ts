import { createHash } from 'node:crypto';
import { Failure } from '../../assets/agent/errors';

/** A resource of a template. */
export interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}

/** Where a template is taken to be deployed. */
export interface Place {
  /** @default 'eu-central-1' */
  readonly region: string;
  /** @default '123456789012' */
  readonly accountId: string;
  /** @default 'ibex' */
  readonly stackName: string;
}

/** Stands for AWS::NoValue: the property is left out. */
export const NO_VALUE = Symbol('AWS::NoValue');

/** What a pseudo parameter stands for. */
export function pseudoParameter(name: string, { region, accountId, stackName }: Place): unknown {
  const values: Readonly<Record<string, unknown>> = {
    'AWS::Region': region,
    'AWS::AccountId': accountId,
    'AWS::StackName': stackName,
    'AWS::StackId': `arn:aws:cloudformation:${region}:${accountId}:stack/${stackName}/stand-in`,
    'AWS::Partition': 'aws',
    'AWS::URLSuffix': 'amazonaws.com',
    'AWS::NoValue': NO_VALUE,
  };
  if (!Object.hasOwn(values, name)) throw new Failure(`the template uses ${name}, which the rehearsal does not know`);
  return values[name];
}

/** What Ref gives for a resource; of the form that AWS gives it where runbooks look at the form. */
export function referenceStandIn(logicalId: string, { Type, Properties = {} }: Resource, place: Place): string {
  const named = (name: unknown): string => (typeof name === 'string' ? name : `${place.stackName}-${logicalId}`);
  switch (Type) {
    case 'AWS::EC2::Instance':
      return `i-${createHash('sha256').update(logicalId).digest('hex').slice(0, 17)}`;
    case 'AWS::SSM::Document':
      return named(Properties['Name']);
    case 'AWS::IAM::Role':
      return named(Properties['RoleName']);
    case 'AWS::SNS::Topic':
      return `arn:aws:sns:${place.region}:${place.accountId}:${named(Properties['TopicName'])}`;
    default:
      return `stand-in:${logicalId}`;
  }
}

/** What Fn::GetAtt gives for a resource. */
export function attributeStandIn(logicalId: string, attribute: string, resource: Resource, place: Place): string {
  const reference = referenceStandIn(logicalId, resource, place);
  if (resource.Type === 'AWS::IAM::Role' && attribute === 'Arn') {
    return `arn:aws:iam::${place.accountId}:role/${reference}`;
  }
  if (resource.Type === 'AWS::SNS::Topic' && attribute === 'TopicArn') return reference;
  return `stand-in:${logicalId}.${attribute}`;
}
