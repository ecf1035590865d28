import type { Context } from '../context';
import { endWith, type End } from '../endpoints';
import { Failure, oneLine } from '../errors';
import { awsClient } from './aws';
import type { LoadBalancerSwitch } from './config';
import { leaveEnd } from './leave-end';
import { moveTime, type Switch } from './switch';
import { groupHealth } from './target-health';

/** Longest time of the one call that moves the clients, and of its repetition; milliseconds. */
const MOVE_MS = 10_000;

/**
 * A listener of a network load balancer as the switch: it is led to the target group of the other end by one call.
 * Connections that stand stay where they are, so the sessions of the end that was left are ended afterwards. Both groups
 * must be in use, and healthy, beforehand: health checks of a new one would take the pause's budget.
 */
export function loadBalancerSwitch(context: Context, config: LoadBalancerSwitch): Switch {
  const { ElasticLoadBalancingV2Client, DescribeListenersCommand, ModifyListenerCommand } =
    require('@aws-sdk/client-elastic-load-balancing-v2') as typeof import('@aws-sdk/client-elastic-load-balancing-v2');
  const client = new ElasticLoadBalancingV2Client(awsClient(context));
  const groups: Readonly<Record<End, string>> = { source: config.sourceGroupArn, target: config.targetGroupArn };
  const healthOf = async (end: End, abortSignal: AbortSignal): Promise<string[]> => {
    const { healthy, states } = await groupHealth(client, groups[end], abortSignal);
    return healthy ? [] : [`no target of the ${end}'s group is healthy (${states}); put it behind a listener`];
  };
  const groupNow = async (abortSignal: AbortSignal): Promise<string | undefined> => {
    const { Listeners: [listener] = [] } = await client.send(
      new DescribeListenersCommand({ ListenerArns: [config.listenerArn] }),
      { abortSignal },
    );
    const actions = listener?.DefaultActions ?? [];
    return actions.length === 1 ? actions[0]?.TargetGroupArn : undefined;
  };
  return {
    name: `load balancer ${config.listenerArn.split('/').slice(-3, -1).join('/')}`,
    ...moveTime(config, MOVE_MS),
    finishMs: (config.settleSeconds + 10) * 1000,
    check: async (to, { signal }) => {
      const from: End = to === 'target' ? 'source' : 'target';
      const leads = await groupNow(signal);
      return [
        ...(leads === groups[from]
          ? []
          : [`its listener leads to ${leads ?? 'more than one group'} and not to the ${from}'s`]),
        ...(await healthOf('source', signal)),
        ...(await healthOf('target', signal)),
      ];
    },
    leads: async ({ signal }) => endWith(groups, await groupNow(signal)),
    move: async (to, { signal }) => {
      const action = { Type: 'forward' as const, TargetGroupArn: groups[to] };
      try {
        await client.send(new ModifyListenerCommand({ ListenerArn: config.listenerArn, DefaultActions: [action] }), {
          abortSignal: signal,
        });
      } catch (error) {
        throw new Failure(`listener ${config.listenerArn} could not be led to the ${to}: ${oneLine(error)}`);
      }
      return `the load balancer leads new connections to the ${to}`;
    },
    finish: (to, time) => leaveEnd(context, to, config.settleSeconds, time),
    close: () => client.destroy(),
  };
}
