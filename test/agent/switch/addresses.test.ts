import type { Client } from 'pg';
import type { Context } from '../../../assets/agent/context';
import type { End } from '../../../assets/agent/endpoints';
import { inTime, type Time } from '../../../assets/agent/switch/in-time';
import { loadBalancerSwitch } from '../../../assets/agent/switch/load-balancer';
import { endSessions, endSessionsFor } from '../../../assets/agent/switch/old-sessions';
import { recordSetSwitch } from '../../../assets/agent/switch/record-set';
import { AwsListener, AwsRecord, CHANGE_RECORD, LISTENER, RECORD } from '../../helpers/aws-addresses';
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
async function oldClient(application = ''): Promise<{ ended: () => boolean }> {
  const client = await server.connect();
  await client.query(`SET application_name = '${application}'`);
  let ended = false;
  client.on('error', () => (ended = true));
  client.on('end', () => (ended = true));
  return { ended: () => ended };
}

describe('the sessions of the end that was left', () => {
  test('are ended but for ours and those of Bucardo', async () => {
    const old = await oldClient('the shop');
    const bucardo = await server.connect();
    await bucardo.query(`SET application_name = 'bucardo kid'`);
    const me = await server.connect();
    await me.query(`SET application_name = 'ibex cutover'`);
    expect(await endSessions(me)).toEqual({
      ended: 1,
      refused: 0,
      by: [{ user: 'postgres', application: 'the shop', sessions: 1 }],
    });
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
    expect(await endSessions(me)).toEqual({ ended: 0, refused: 1, by: [] });
    await Promise.all([admin.end(), me.end()]);
  });

  test('that come back are ended again until the time is over', async () => {
    const me = await server.connect();
    await me.query(`SET application_name = 'ibex cutover'`);
    await oldClient();
    const ending = endSessionsFor(me, 1_200, new AbortController().signal);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await oldClient();
    expect(await ending).toMatchObject({ ended: 2, by: [{ application: '', sessions: 2 }] });
    await me.end();
  });
});

describe('a load balancer', () => {
  let listener: AwsListener;
  beforeEach(() => {
    listener = new AwsListener();
    answer = (call) => listener.answer(call);
  });

  test('is ready while its listener leads to the end that serves and both groups are healthy', async () => {
    const made = loadBalancerSwitch(context, LISTENER);
    await expect(within((time) => made.check('target', time))).resolves.toEqual([]);
    await expect(within((time) => made.check('source', time))).resolves.toEqual([
      expect.stringContaining(`leads to ${LISTENER.sourceGroupArn} and not to the target's`),
    ]);
    made.close?.();
  });

  test('says to which end it leads, if to one alone', async () => {
    const made = loadBalancerSwitch(context, LISTENER);
    const leads = () => within((time) => made.leads!(time));
    expect(await leads()).toBe('source');
    await within((time) => made.move!('target', time));
    expect(await leads()).toBe('target');
    listener.leads = [LISTENER.sourceGroupArn, LISTENER.targetGroupArn];
    expect(await leads()).toBeUndefined();
    made.close?.();
  });

  test('is not ready with a group that no listener uses, whose targets nobody checks', async () => {
    listener.health[LISTENER.targetGroupArn] = 'unused';
    const made = loadBalancerSwitch(context, LISTENER);
    await expect(within((time) => made.check('target', time))).resolves.toEqual([
      "no target of the target's group is healthy (10.0.0.1 is unused); put it behind a listener",
    ]);
  });

  test('moves by one call, and then the sessions of the old end are ended', async () => {
    const old = await oldClient();
    const made = loadBalancerSwitch(context, LISTENER);
    await within((time) => made.move!('target', time));
    expect(aws.operations()).toEqual(['ModifyListener']);
    expect(listener.leads).toEqual([LISTENER.targetGroupArn]);
    expect(old.ended()).toBe(false);
    await expect(within((time) => made.finish!('target', time))).resolves.toEqual({
      done: '1 sessions on the source were ended',
      ended: [{ user: 'postgres', application: '', sessions: 1 }],
    });
    expect(old.ended()).toBe(true);
  });

  test('that is throttled is asked again, and one that refuses is named', async () => {
    const known = answer;
    let refusals = 1;
    answer = (call) => (refusals-- > 0 ? xmlRefusal('Throttling') : known(call));
    const made = loadBalancerSwitch(context, LISTENER);
    await within((time) => made.move!('target', time));
    expect(aws.operations()).toEqual(['ModifyListener', 'ModifyListener']);
    answer = () => xmlRefusal('AccessDenied', 403);
    await expect(within((time) => made.move!('source', time))).rejects.toThrow(/could not be led to the source/);
  });

  test('that hangs is left when its time is over', async () => {
    answer = () => 'hang';
    const made = loadBalancerSwitch(context, LISTENER);
    await expect(within((time) => made.move!('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
    await expect(within((time) => made.check('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
  });
});

describe('a record of Route 53', () => {
  let record: AwsRecord;
  beforeEach(() => {
    record = new AwsRecord();
    answer = (call) => record.answer(call);
  });

  const problems = (to: End = 'target') => within((time) => recordSetSwitch(context, RECORD).check(to, time));

  test('is ready while it names the end that serves with a short life', async () => {
    await expect(problems()).resolves.toEqual([]);
    record.ttl = 300;
    await expect(problems()).resolves.toEqual([expect.stringContaining('its time to live is 300 s; set 1 s')]);
    Object.assign(record, { value: 'other.example.org', ttl: 1, name: 'DB.example.org.' });
    await expect(problems()).resolves.toEqual(['it is other.example.org and not old.example.org']);
    record.name = 'dc.example.org.';
    await expect(problems()).resolves.toEqual([expect.stringContaining('there is no such record of type CNAME')]);
  });

  test('says which end it names, if one of both', async () => {
    const made = recordSetSwitch(context, RECORD);
    const leads = () => within((time) => made.leads!(time));
    expect(await leads()).toBe('source');
    record.value = 'NEW.example.org.';
    expect(await leads()).toBe('target');
    record.value = 'other.example.org';
    expect(await leads()).toBeUndefined();
    made.close?.();
  });

  test('is changed in the pause, and waited for when writes are open', async () => {
    const old = await oldClient();
    const made = recordSetSwitch(context, RECORD);
    await within((time) => made.move!('target', time));
    expect(record.value).toBe('new.example.org');
    expect(aws.operations()).toEqual([CHANGE_RECORD]);
    expect(aws.calls[0]?.body).toContain('<Action>UPSERT</Action>');
    await expect(within((time) => made.finish!('target', time))).resolves.toEqual({
      done: expect.stringMatching(
        /^1 sessions on the source were ended; once all servers of Route 53 knew the change, 0 sessions/,
      ),
      ended: [{ user: 'postgres', application: '', sessions: 1 }],
    });
    expect(old.ended()).toBe(true);
    expect(aws.operations().slice(1)).toEqual(['GET /2013-04-01/change/C1', 'GET /2013-04-01/change/C1']);
  });

  test('whose change is not known everywhere in time is named', async () => {
    record.pending = 1_000;
    const made = recordSetSwitch(context, RECORD);
    await within((time) => made.move!('target', time));
    await expect(within((time) => made.finish!('target', time), 1_500)).rejects.toThrow(
      /not known to all servers of Route 53 yet/,
    );
  });

  test('that gives no answer is left when its time is over', async () => {
    answer = () => 'hang';
    const made = recordSetSwitch(context, RECORD);
    await expect(within((time) => made.check('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
    await expect(within((time) => made.move!('target', time), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
  });

  test('that is refused is named, and one that is throttled is asked again', async () => {
    const known = answer;
    answer = () => xmlRefusal('InvalidChangeBatch');
    const made = recordSetSwitch(context, RECORD);
    await expect(within((time) => made.move!('target', time))).rejects.toThrow(
      /^record db\.example\.org could not be changed to new\.example\.org/,
    );
    let refusals = 1;
    answer = (call) => (refusals-- > 0 ? xmlRefusal('Throttling') : known(call));
    await within((time) => made.move!('target', time));
    expect(record.value).toBe('new.example.org');
  });
});
