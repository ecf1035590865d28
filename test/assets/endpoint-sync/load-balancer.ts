import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';

/** An error that the service answers with, such as `Throttling`; `status` is HTTP's. */
export interface ServiceError {
  readonly code: string;
  readonly status: number;
}

export const THROTTLING: ServiceError = { code: 'Throttling', status: 400 };

/** One request as it came, in the form of the protocol. */
export interface Call {
  readonly action: string;
  readonly arn: string;
  readonly addresses: readonly string[];
  readonly ports: readonly string[];
}

type Targets = ReadonlyMap<string, string>;

/** Elastic Load Balancing over HTTP for three calls, a form in and XML out, with target groups that remember. */
export interface TestLoadBalancer {
  readonly client: ElasticLoadBalancingV2Client;
  /** Requests that were carried out. */
  readonly calls: readonly Call[];
  /** Requests that came, the refused ones too. */
  readonly requests: () => number;
  /** Makes a group with targets and their states. */
  create(arn: string, targets: Readonly<Record<string, string>>): void;
  /** Addresses that the group sends connections to, now or soon. */
  serving(arn: string): readonly string[];
  /** The fewest of them at any moment since the group was made. */
  fewest(arn: string): number;
  /** Answers the next requests of this action for this group with these errors. */
  refuse(action: string, arn: string, ...errors: readonly ServiceError[]): void;
  /** Lets so many answers about each group's targets show it as it was before the last change. */
  lag(answers: number): void;
  close(): Promise<void>;
}

class Group {
  private before: Targets;
  private stale = 0;
  fewest: number;

  constructor(private now: Targets) {
    this.before = now;
    this.fewest = this.serving().length;
  }

  serving(): string[] {
    return [...this.now].filter(([, state]) => state !== 'draining').map(([address]) => address);
  }

  change(changes: readonly (readonly [string, string])[], lag: number): void {
    this.before = this.now;
    this.now = new Map([...this.now, ...changes]);
    this.stale = lag;
    this.fewest = Math.min(this.fewest, this.serving().length);
  }

  shown(): Targets {
    this.stale -= 1;
    return this.stale >= 0 ? this.before : this.now;
  }
}

const member = ([address, state]: readonly [string, string]): string =>
  `<member><Target><Id>${address}</Id><Port>5432</Port></Target><TargetHealth><State>${state}</State></TargetHealth></member>`;

const NAMESPACE = 'xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"';

export async function startLoadBalancer(): Promise<TestLoadBalancer> {
  const groups = new Map<string, Group>();
  const calls: Call[] = [];
  const refusals = new Map<string, ServiceError[]>();
  let requests = 0;
  let lag = 0;

  const group = (arn: string): Group => {
    const found = groups.get(arn);
    if (!found) throw new Error(`no group ${arn}`);
    return found;
  };

  const carryOut = (call: Call): string => {
    calls.push(call);
    if (call.action === 'DescribeTargetHealth') {
      return `<TargetHealthDescriptions>${[...group(call.arn).shown()].map(member).join('')}</TargetHealthDescriptions>`;
    }
    const state = call.action === 'RegisterTargets' ? 'initial' : 'draining';
    group(call.arn).change(
      call.addresses.map((address) => [address, state]),
      lag,
    );
    return '';
  };

  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      requests += 1;
      const form = new URLSearchParams(body);
      const action = form.get('Action') ?? '';
      const arn = form.get('TargetGroupArn') ?? '';
      const listed = (field: string): string[] =>
        [...form].filter(([name]) => name.startsWith('Targets.') && name.endsWith(field)).map(([, value]) => value);
      response.setHeader('content-type', 'text/xml');
      const refusal = refusals.get(`${action} ${arn}`)?.shift();
      if (refusal) {
        response.writeHead(refusal.status);
        response.end(
          `<ErrorResponse ${NAMESPACE}><Error><Type>Sender</Type><Code>${refusal.code}</Code><Message>${refusal.code} of ${action}</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
        );
        return;
      }
      const result = carryOut({ action, arn, addresses: listed('.Id'), ports: listed('.Port') });
      response.end(
        `<${action}Response ${NAMESPACE}><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new ElasticLoadBalancingV2Client({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  return {
    client,
    calls,
    requests: () => requests,
    create: (arn, targets) => void groups.set(arn, new Group(new Map(Object.entries(targets)))),
    serving: (arn) => group(arn).serving(),
    fewest: (arn) => group(arn).fewest,
    refuse: (action, arn, ...errors) => void refusals.set(`${action} ${arn}`, [...errors]),
    lag: (answers) => void (lag = answers),
    close: async () => {
      client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
