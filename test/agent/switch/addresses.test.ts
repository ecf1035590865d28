import type { Client } from 'pg';
import type { Context } from '../../../assets/agent/context';
import type { End } from '../../../assets/agent/endpoints';
import { inTime, type Time } from '../../../assets/agent/switch/in-time';
import { loadBalancerSwitch } from '../../../assets/agent/switch/load-balancer';
import { endSessions, endSessionsFor } from '../../../assets/agent/switch/old-sessions';
import { recordSetSwitch } from '../../../assets/agent/switch/record-set';
import { startAws, xmlRefusal, type AwsAnswer, type AwsCall, type AwsServer } from '../../helpers/aws-calls';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let server: TestPostgres;
let aws: AwsServer;
let answer: (call: AwsCall) => AwsAnswer;

beforeAll(async () => {
  server = await startPostgres({});
});
afterAll(() => server?.stop());
beforeEach(async () => {
  aws = await startAws((call) => answer(call));
});
afterEach(() => aws.close());

/** A context whose ends are this server, with the session that the program would have. */
const context = {
  config: { secrets: { kind: 'aws', region: 'eu-west-1' } },
  real: (end: End) => end,
  with: async <T>(_end: End, work: (client: Client) => Promise<T>): Promise<T> => {
    const client = await server.connect();
    await client.query(`SET application_name = 'ibex cutover'`);
    return work(client).finally(() => client.end());
  },
} as unknown as Context;

const within = <T>(work: (time: Time) => Promise<T>, ms = 10_000): Promise<T> => inTime('it', ms, work);

/** A client that stands on the end that is left, and whether it was ended. */
async function oldClient(): Promise<{ ended: () => boolean }> {
  const client = await server.connect();
  let ended = false;
  client.on('error', () => (ended = true));
  client.on('end', () => (ended = true));
  return { ended: () => ended };
}

describe('the sessions of the end that was left', () => {
  test('are ended but for ours and those of Bucardo', async () => {
    const old = await oldClient();
    const bucardo = await server.connect();
    await bucardo.query(`SET application_name = 'bucardo kid'`);
    const me = await server.connect();
    await me.query(`SET application_name = 'ibex cutover'`);
    expect(await endSessions(me)).toEqual({ ended: 1, refused: 0 });
    await bucardo.query('SELECT 1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(old.ended()).toBe(true);
    await Promise.all([bucardo.end(), me.end()]);
  });

  test('that our login may not end are counted', async () => {
    const admin = await server.connect();
    await admin.query('CREATE ROLE mover LOGIN');
    const me = await server.connect();
    await me.query(`SET SESSION AUTHORIZATION mover`);
    await me.query(`SET application_name = 'ibex cutover'`);
    expect(await endSessions(me)).toEqual({ ended: 0, refused: 1 });
    await Promise.all([admin.end(), me.end()]);
  });

  test('that come back are ended again until the time is over', async () => {
    const me = await server.connect();
    await me.query(`SET application_name = 'ibex cutover'`);
    await oldClient();
    const ending = endSessionsFor(me, 1_200, new AbortController().signal);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await oldClient();
    expect((await ending).ended).toBe(2);
    await me.end();
  });
});

describe('a load balancer', () => {
  const group = (name: string): string => `arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/${name}/1`;
  const config = {
    kind: 'nlb',
    listenerArn: 'arn:aws:elasticloadbalancing:eu-west-1:1:listener/net/shop/1/2',
    sourceGroupArn: group('old'),
    targetGroupArn: group('new'),
    settleSeconds: 1,
  } as const;
  let leads: string[];
  let healthy: Record<string, string>;

  const xml = (operation: string, result: string): AwsAnswer => ({
    text: `<${operation}Response xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><${operation}Result>${result}</${operation}Result></${operation}Response>`,
  });
  const listener = (): string =>
    `<Listeners><member><DefaultActions>${leads.map((each) => `<member><Type>forward</Type><TargetGroupArn>${each}</TargetGroupArn></member>`).join('')}</DefaultActions></member></Listeners>`;

  beforeEach(() => {
    leads = [config.sourceGroupArn];
    healthy = { [config.sourceGroupArn]: 'healthy', [config.targetGroupArn]: 'healthy' };
    answer = ({ operation, body }) => {
      const form = new URLSearchParams(body);
      if (operation === 'ModifyListener') leads = [form.get('DefaultActions.member.1.TargetGroupArn') ?? ''];
      if (operation !== 'DescribeTargetHealth') return xml(operation, listener());
      const state = healthy[form.get('TargetGroupArn') ?? ''];
      return xml(
        operation,
        `<TargetHealthDescriptions><member><Target><Id>10.0.0.1</Id></Target><TargetHealth><State>${state}</State></TargetHealth></member></TargetHealthDescriptions>`,
      );
    };
  });

  test('is ready while its listener leads to the end that serves and both groups are healthy', async () => {
    const made = loadBalancerSwitch(context, config);
    await expect(within((time) => made.check('target', time))).resolves.toEqual([]);
    await expect(within((time) => made.check('source', time))).resolves.toEqual([
      expect.stringContaining(`leads to ${config.sourceGroupArn} and not to the target's`),
    ]);
    made.close?.();
  });

  test('is not ready with a group that no listener uses, whose targets nobody checks', async () => {
    healthy[config.targetGroupArn] = 'unused';
    const made = loadBalancerSwitch(context, config);
    await expect(within((time) => made.check('target', time))).resolves.toEqual([
      "no target of the target's group is healthy (10.0.0.1 is unused); put it behind a listener",
    ]);
  });

  test('moves by one call, and then the sessions of the old end are ended', async () => {
    const old = await oldClient();
    const made = loadBalancerSwitch(context, config);
    await within((time) => made.move!('target', time));
    expect(aws.operations()).toEqual(['ModifyListener']);
    expect(leads).toEqual([config.targetGroupArn]);
    expect(old.ended()).toBe(false);
    await expect(within((time) => made.finish!('target', time))).resolves.toBe('1 sessions on the source were ended');
    expect(old.ended()).toBe(true);
  });

  test('that is throttled is asked again, and one that refuses is named', async () => {
    const known = answer;
    let refusals = 1;
    answer = (call) => (refusals-- > 0 ? xmlRefusal('Throttling') : known(call));
    const made = loadBalancerSwitch(context, config);
    await within((time) => made.move!('target', time));
    expect(aws.operations()).toEqual(['ModifyListener', 'ModifyListener']);
    answer = () => xmlRefusal('AccessDenied', 403);
    await expect(within((time) => made.move!('source', time))).rejects.toThrow(/could not be led to the source/);
  });

  test('that hangs is left when its time is over', async () => {
    answer = () => 'hang';
    const made = loadBalancerSwitch(context, config);
    await expect(within((time) => made.move!('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
    await expect(within((time) => made.check('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
  });
});

describe('a record of Route 53', () => {
  const config = {
    kind: 'dns',
    hostedZoneId: 'Z0123456789',
    name: 'db.example.org',
    type: 'CNAME',
    source: 'old.example.org',
    target: 'new.example.org',
    ttlSeconds: 1,
  } as const;
  const CHANGE = 'POST /2013-04-01/hostedzone/Z0123456789/rrset';
  const LIST = 'GET /2013-04-01/hostedzone/Z0123456789/rrset';
  let record: { value: string; ttl: number; name: string };
  let pending: number;

  beforeEach(() => {
    record = { value: config.source, ttl: 1, name: 'db.example.org.' };
    pending = 1;
    answer = ({ operation, body }) => {
      if (operation === LIST) {
        return {
          text: `<ListResourceRecordSetsResponse><ResourceRecordSets><ResourceRecordSet><Name>${record.name}</Name><Type>CNAME</Type><TTL>${record.ttl}</TTL><ResourceRecords><ResourceRecord><Value>${record.value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>`,
        };
      }
      const root = operation === CHANGE ? 'ChangeResourceRecordSetsResponse' : 'GetChangeResponse';
      if (operation === CHANGE) record.value = /<Value>(.*?)<\/Value>/.exec(body)?.[1] ?? '';
      const status = operation !== CHANGE && pending-- <= 0 ? 'INSYNC' : 'PENDING';
      return {
        text: `<${root}><ChangeInfo><Id>/change/C1</Id><Status>${status}</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></${root}>`,
      };
    };
  });

  const problems = (to: End = 'target') => within((time) => recordSetSwitch(context, config).check(to, time));

  test('is ready while it names the end that serves with a short life', async () => {
    await expect(problems()).resolves.toEqual([]);
    record.ttl = 300;
    await expect(problems()).resolves.toEqual([expect.stringContaining('its time to live is 300 s; set 1 s')]);
    record = { value: 'other.example.org', ttl: 1, name: 'DB.example.org.' };
    await expect(problems()).resolves.toEqual(['it is other.example.org and not old.example.org']);
    record.name = 'dc.example.org.';
    await expect(problems()).resolves.toEqual([expect.stringContaining('there is no such record of type CNAME')]);
  });

  test('is changed in the pause, and waited for when writes are open', async () => {
    const old = await oldClient();
    const made = recordSetSwitch(context, config);
    await within((time) => made.move!('target', time));
    expect(record.value).toBe('new.example.org');
    expect(aws.operations()).toEqual([CHANGE]);
    expect(aws.calls[0]?.body).toContain('<Action>UPSERT</Action>');
    await expect(within((time) => made.finish!('target', time))).resolves.toMatch(
      /^1 sessions on the source were ended; once all servers of Route 53 knew the change, 0 sessions/,
    );
    expect(old.ended()).toBe(true);
    expect(aws.operations().slice(1)).toEqual(['GET /2013-04-01/change/C1', 'GET /2013-04-01/change/C1']);
  });

  test('whose change is not known everywhere in time is named', async () => {
    pending = 1_000;
    const made = recordSetSwitch(context, config);
    await within((time) => made.move!('target', time));
    await expect(within((time) => made.finish!('target', time), 1_500)).rejects.toThrow(
      /not known to all servers of Route 53 yet/,
    );
  });

  test('that gives no answer is left when its time is over', async () => {
    answer = () => 'hang';
    const made = recordSetSwitch(context, config);
    await expect(within((time) => made.check('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
    await expect(within((time) => made.move!('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
  });

  test('that is refused is named, and one that is throttled is asked again', async () => {
    const known = answer;
    answer = () => xmlRefusal('InvalidChangeBatch');
    const made = recordSetSwitch(context, config);
    await expect(within((time) => made.move!('target', time))).rejects.toThrow(
      /^record db\.example\.org could not be changed to new\.example\.org/,
    );
    let refusals = 1;
    answer = (call) => (refusals-- > 0 ? xmlRefusal('Throttling') : known(call));
    await within((time) => made.move!('target', time));
    expect(record.value).toBe('new.example.org');
  });
});
