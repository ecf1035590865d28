import {
  CreateDBClusterSnapshotCommand,
  CreateDBSnapshotCommand,
  DescribeDBClusterSnapshotsCommand,
  DescribeDBSnapshotsCommand,
  RDSClient,
} from '@aws-sdk/client-rds';
import { InputError } from './errors';

/** Where the calls of runbooks go that name a service. */
export interface AwsEndpoint {
  /** Address of whoever answers as AWS does, such as `http://127.0.0.1:8080`. */
  readonly url: string;
}

/** Calls one operation of a service with the inputs of a step. Throws what the service refuses, by its name. */
type Call = (client: RDSClient, inputs: Readonly<Record<string, unknown>>, signal: AbortSignal) => Promise<unknown>;

/** The operations of Amazon RDS that are known here, by the name that Automation gives to them. */
const RDS: Readonly<Record<string, Call>> = {
  CreateDBClusterSnapshot: (client, inputs, abortSignal) =>
    client.send(new CreateDBClusterSnapshotCommand(inputs as never), { abortSignal }),
  CreateDBSnapshot: (client, inputs, abortSignal) =>
    client.send(new CreateDBSnapshotCommand(inputs as never), { abortSignal }),
  DescribeDBClusterSnapshots: (client, inputs, abortSignal) =>
    client.send(new DescribeDBClusterSnapshotsCommand(inputs as never), { abortSignal }),
  DescribeDBSnapshots: (client, inputs, abortSignal) =>
    client.send(new DescribeDBSnapshotsCommand(inputs as never), { abortSignal }),
};

/** What is wrong with the service or the operation that a step names. */
export function apiProblems(inputs: Readonly<Record<string, unknown>>): string[] {
  const { Service, Api } = inputs;
  if (Service !== 'rds') return [`Service ${String(Service)} is not known`];
  return Object.hasOwn(RDS, String(Api)) ? [] : [`Api ${String(Api)} of rds is not known`];
}

/** Makes the call of a step; what belongs to Automation itself is left out of it. */
export async function callApi(
  endpoint: AwsEndpoint | undefined,
  region: string,
  {
    Service: _service,
    Api,
    PropertySelector: _selector,
    DesiredValues: _values,
    ...inputs
  }: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<unknown> {
  if (!endpoint) throw new InputError('this account has no AWS services; give the automation an endpoint');
  const client = new RDSClient({
    region,
    endpoint: endpoint.url,
    credentials: { accessKeyId: 'rehearsal', secretAccessKey: 'rehearsal' },
  });
  try {
    return await RDS[String(Api)]!(client, inputs, signal);
  } catch (error) {
    const { name, message } = error as Error;
    throw new InputError(`${String(Api)}: ${name}: ${message}`);
  } finally {
    client.destroy();
  }
}

const SELECTOR = /^\$(\.[A-Za-z0-9_]+|\[\d+\])+$/;

/** What is wrong with a selector; the form known here is a path of names and positions, such as `$.List[0].Status`. */
export const selectorProblems = (selector: unknown): string[] =>
  SELECTOR.test(String(selector)) ? [] : [`PropertySelector ${String(selector)} is no path such as $.List[0].Status`];

/** The value that a selector points to; undefined where there is none. */
export function select(value: unknown, selector: string): unknown {
  return [...selector.matchAll(/\.([A-Za-z0-9_]+)|\[(\d+)\]/g)].reduce<unknown>(
    (at, [, name, index]) => (at as Record<string, unknown> | undefined)?.[name ?? index ?? ''],
    value,
  );
}
