import { setTimeout as sleep } from 'node:timers/promises';
import type { ResourceRecordSet } from '@aws-sdk/client-route-53';
import type { Context } from '../context';
import { endWith, type End } from '../endpoints';
import { Failure, oneLine } from '../errors';
import { awsClient } from './aws';
import type { RecordSetSwitch } from './config';
import type { Time } from './in-time';
import { leaveEnd } from './leave-end';
import { addUp } from './old-sessions';
import { moveTime, type Switch } from './switch';

/** Longest time of the one call that changes the record, and of its repetition; milliseconds. */
const MOVE_MS = 10_000;
/** How often Route 53 is asked whether all its servers know the change; milliseconds. */
const POLL_MS = 1_000;
/** Longest time that Route 53 takes to tell all its servers; seconds. */
const IN_SYNC_SECONDS = 120;

/** As Route 53 writes it. */
const complete = (name: string): string => (name.endsWith('.') ? name : `${name}.`).toLowerCase();

const valuesOf = (record: ResourceRecordSet | undefined): string[] =>
  (record?.ResourceRecords ?? []).map(({ Value = '' }) => Value);

/**
 * A record of Route 53 as the switch. Inside the pause it is only changed: once the change is accepted it comes for sure,
 * and waiting for the servers of Route 53 would keep writes stopped for a minute. That, and the record's time to live, is
 * waited for once writes are open, while the sessions of the end that was left are ended.
 */
export function recordSetSwitch(context: Context, config: RecordSetSwitch): Switch {
  const { Route53Client, ChangeResourceRecordSetsCommand, GetChangeCommand, ListResourceRecordSetsCommand } =
    require('@aws-sdk/client-route-53') as typeof import('@aws-sdk/client-route-53');
  const client = new Route53Client(awsClient(context));
  const values: Readonly<Record<End, string>> = { source: config.source, target: config.target };
  const name = `record ${config.name}`;
  const present = async (abortSignal: AbortSignal) => {
    const { ResourceRecordSets: [found] = [] } = await client.send(
      new ListResourceRecordSetsCommand({
        HostedZoneId: config.hostedZoneId,
        StartRecordName: config.name,
        StartRecordType: config.type,
        MaxItems: 1,
      }),
      { abortSignal },
    );
    const isIt = found?.Type === config.type && complete(found.Name ?? '') === complete(config.name);
    return isIt ? found : undefined;
  };
  let change: string | undefined;
  const inSync = async ({ signal, left }: Time): Promise<void> => {
    if (change === undefined) return;
    for (;;) {
      const { ChangeInfo } = await client.send(new GetChangeCommand({ Id: change }), { abortSignal: signal });
      if (ChangeInfo?.Status === 'INSYNC') return;
      if (left() <= POLL_MS) throw new Failure(`change ${change} is not known to all servers of Route 53 yet`);
      await sleep(POLL_MS, undefined, { signal });
    }
  };
  return {
    name,
    ...moveTime(config, MOVE_MS),
    finishMs: (IN_SYNC_SECONDS + config.ttlSeconds + 10) * 1000,
    check: async (to, { signal }) => {
      const from: End = to === 'target' ? 'source' : 'target';
      const found = await present(signal);
      if (!found) return [`there is no such record of type ${config.type} in zone ${config.hostedZoneId}`];
      const now = valuesOf(found);
      const isFrom = now.length === 1 && complete(now[0] ?? '') === complete(values[from]);
      return [
        ...(isFrom ? [] : [`it is ${now.join(', ') || 'an alias'} and not ${values[from]}`]),
        ...((found.TTL ?? 0) <= config.ttlSeconds
          ? []
          : [`its time to live is ${found.TTL} s; set ${config.ttlSeconds} s, and wait for ${found.TTL} s`]),
        ...(found.SetIdentifier === undefined
          ? []
          : ['it is one of several with a routing policy; only one can be moved']),
      ];
    },
    leads: async ({ signal }) => {
      const [now, more] = valuesOf(await present(signal));
      if (now === undefined || more !== undefined) return undefined;
      return endWith({ source: complete(config.source), target: complete(config.target) }, complete(now));
    },
    move: async (to, { signal }) => {
      const record = {
        Name: config.name,
        Type: config.type,
        TTL: config.ttlSeconds,
        ResourceRecords: [{ Value: values[to] }],
      };
      try {
        const { ChangeInfo } = await client.send(
          new ChangeResourceRecordSetsCommand({
            HostedZoneId: config.hostedZoneId,
            ChangeBatch: { Changes: [{ Action: 'UPSERT', ResourceRecordSet: record }] },
          }),
          { abortSignal: signal },
        );
        change = ChangeInfo?.Id;
      } catch (error) {
        throw new Failure(`${name} could not be changed to ${values[to]}: ${oneLine(error)}`);
      }
      return `${name} names the ${to}`;
    },
    finish: async (to, time) => {
      // New sessions find the new end from now on, one resolver after the other; old ones would stay where they are.
      const first = await leaveEnd(context, to, 0, time);
      await inSync(time);
      const rest = await leaveEnd(context, to, config.ttlSeconds, time);
      return {
        done: `${first.done}; once all servers of Route 53 knew the change, ${rest.done}`,
        ended: addUp([...first.ended, ...rest.ended]),
      };
    },
    close: () => client.destroy(),
  };
}
