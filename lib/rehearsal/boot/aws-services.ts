import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Rds } from '../aws/rds';
import type { Route } from './web';

/** What an account holds for one host. */
export interface Account {
  readonly region: string;
  /** Objects by `bucket/key`. */
  readonly objects: ReadonlyMap<string, string>;
  /** SSM parameters by name. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Secrets by ARN. */
  readonly secrets: ReadonlyMap<string, string>;
}

/** What the host told CloudFormation's wait condition. */
export interface Signal {
  readonly Status: string;
  readonly Reason: string;
  readonly UniqueId: string;
  readonly Data: string;
}

const ACCESS_KEY = 'ASIAIBEXHOSTROLE';
const ROLE = 'ibex-host';
/** The instance, as it knows itself. */
export const INSTANCE_ID = 'i-0123456789abcdef0';
const IMDS_TOKEN = 'imds-v2-session';

/** Parameter Store and Secrets Manager: the JSON protocol, one address per service, the operation in a header. */
export function jsonServices({ region, parameters, secrets }: Account): Record<string, Route> {
  const parameter: Operation = ({ Name }) => {
    const value = parameters.get(String(Name));
    return value === undefined ? undefined : { Parameter: { Name, Type: 'String', Value: value, Version: 1 } };
  };
  const secret: Operation = ({ SecretId }) => {
    const value = secrets.get(String(SecretId));
    return value === undefined ? undefined : { ARN: SecretId, Name: SecretId, SecretString: value };
  };
  return {
    [`ssm.${region}.amazonaws.com`]: operations({ 'AmazonSSM.GetParameter': parameter }, 'ParameterNotFound'),
    [`secretsmanager.${region}.amazonaws.com`]: operations(
      { 'secretsmanager.GetSecretValue': secret },
      'ResourceNotFoundException',
    ),
  };
}

type Operation = (input: Readonly<Record<string, unknown>>) => unknown;

function operations(known: Readonly<Record<string, Operation>>, absent: string): Route {
  return (request, response, body) => {
    if (!isSigned(request)) return answer(response, 403, { __type: 'MissingAuthenticationTokenException' });
    const operation = known[String(request.headers['x-amz-target'])];
    if (!operation) return answer(response, 400, { __type: 'UnknownOperationException' });
    const result = operation(JSON.parse(body.toString()) as Record<string, unknown>);
    return result === undefined
      ? answer(response, 400, { __type: absent, message: `${absent}: ${body.toString()}` })
      : answer(response, 200, result);
  };
}

/** Whether the request carries a signature made with the credentials of the host's role. */
const isSigned = ({ headers }: IncomingMessage): boolean =>
  headers.authorization?.startsWith('AWS4-HMAC-SHA256 ') === true &&
  headers.authorization.includes(`Credential=${ACCESS_KEY}/`) &&
  headers['x-amz-security-token'] === IMDS_TOKEN;

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
}

/** A bucket by its own host name. */
export function bucket(name: string, { objects }: Account): Route {
  return (request, response) => {
    if (!isSigned(request)) return void response.writeHead(403).end();
    const file = objects.get(`${name}${decodeURIComponent(new URL(request.url ?? '/', 'https://s3').pathname)}`);
    if (file === undefined) return void response.writeHead(404).end();
    sendFile(request, response, file);
  };
}

/** A file, whole or the range that is asked for. */
export function sendFile(request: IncomingMessage, response: ServerResponse, file: string): void {
  const content = readFileSync(file);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [from, to] = range ? [Number(range[1]), Number(range[2])] : [0, content.length - 1];
  const headers = {
    'content-length': to - from + 1,
    'last-modified': new Date(0).toUTCString(),
    etag: '"0"',
    ...(range && { 'content-range': `bytes ${from}-${to}/${content.length}` }),
  };
  response
    .writeHead(range ? 206 : 200, headers)
    .end(request.method === 'HEAD' ? undefined : content.subarray(from, to + 1));
}

/** Target of the operation that lists alarms, of which none is raised here. */
const DESCRIBE_ALARMS = 'GraniteServiceVersion20100801.DescribeAlarms';

/** CloudWatch: metrics by the query protocol, the last value of each by its name; and no alarm, by the JSON protocol. */
export const cloudWatch =
  (values: Map<string, string>): Route =>
  (request, response, body) => {
    if (!isSigned(request)) return void response.writeHead(403).end();
    if (request.headers['x-amz-target'] === DESCRIBE_ALARMS) {
      return answer(response, 200, { MetricAlarms: [], CompositeAlarms: [] });
    }
    const form = new URLSearchParams(body.toString());
    for (let member = 1; form.has(`MetricData.member.${member}.MetricName`); member += 1) {
      const field = (name: string): string => form.get(`MetricData.member.${member}.${name}`) ?? '';
      values.set(field('MetricName'), `${field('Value')} ${field('Unit')} ${field('Dimensions.member.1.Value')}`);
    }
    response
      .writeHead(200, { 'content-type': 'text/xml' })
      .end('<PutMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"/>');
  };

/** RDS by the query protocol. */
export const databases =
  (rds: Rds): Route =>
  (request, response, body) => {
    if (!isSigned(request)) return void response.writeHead(403).end();
    const { status, text } = rds.answer(new URLSearchParams(body.toString()));
    response.writeHead(status, { 'content-type': 'text/xml' }).end(text);
  };

/** Elastic Load Balancing by the query protocol: every target group has one target, which is healthy. */
export const loadBalancers: Route = (request, response, body) => {
  if (!isSigned(request)) return void response.writeHead(403).end();
  const action = new URLSearchParams(body.toString()).get('Action') ?? '';
  if (action !== 'DescribeTargetHealth') return void response.writeHead(400).end();
  response
    .writeHead(200, { 'content-type': 'text/xml' })
    .end(
      `<${action}Response xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><${action}Result><TargetHealthDescriptions><member><Target><Id>10.0.0.1</Id></Target><TargetHealth><State>healthy</State></TargetHealth></member></TargetHealthDescriptions></${action}Result></${action}Response>`,
    );
};

/** What an instance is told of itself. */
const FACTS: Readonly<Record<string, string>> = {
  '/latest/meta-data/instance-id': INSTANCE_ID,
  '/latest/meta-data/placement/region': 'eu-central-1',
};

/** The instance's metadata service, version 2 only, with the credentials of the host's role. */
export const metadata: Route = (request, response) => {
  const path = new URL(request.url ?? '/', 'http://metadata').pathname;
  if (request.method === 'PUT' && path === '/latest/api/token') return void response.writeHead(200).end(IMDS_TOKEN);
  if (request.headers['x-aws-ec2-metadata-token'] !== IMDS_TOKEN) return void response.writeHead(401).end();
  const fact = FACTS[path];
  if (fact !== undefined) return void response.writeHead(200).end(fact);
  if (path === '/latest/meta-data/iam/security-credentials/') return void response.writeHead(200).end(ROLE);
  if (path !== `/latest/meta-data/iam/security-credentials/${ROLE}`) return void response.writeHead(404).end();
  const credentials = {
    Code: 'Success',
    Type: 'AWS-HMAC',
    AccessKeyId: ACCESS_KEY,
    SecretAccessKey: 'secret',
    Token: IMDS_TOKEN,
    LastUpdated: new Date().toISOString(),
    Expiration: new Date(Date.now() + 6 * 3_600_000).toISOString(),
  };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(credentials));
};

/** The presigned address of a wait condition handle; what it is told is appended to the list. */
export const waitCondition =
  (signals: Signal[]): Route =>
  (request, response, body) => {
    // S3 refuses a content type that was not signed.
    if (request.method !== 'PUT' || request.headers['content-type']) return void response.writeHead(403).end();
    signals.push(JSON.parse(body.toString()) as Signal);
    response.writeHead(200).end();
  };
