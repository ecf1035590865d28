import {
  DescribeTargetHealthCommand,
  type ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';

/** Whether a target group could take clients. */
export interface GroupHealth {
  /** Whether one target of it is healthy. */
  readonly healthy: boolean;
  /** Each target with its state, in words. */
  readonly states: string;
}

/** Asks a load balancer for the health of one target group. Throws what AWS answers otherwise. */
export async function groupHealth(
  client: ElasticLoadBalancingV2Client,
  group: string,
  abortSignal?: AbortSignal,
): Promise<GroupHealth> {
  const { TargetHealthDescriptions: targets = [] } = await client.send(
    new DescribeTargetHealthCommand({ TargetGroupArn: group }),
    abortSignal && { abortSignal },
  );
  return {
    healthy: targets.some(({ TargetHealth }) => TargetHealth?.State === 'healthy'),
    states: targets.map(({ Target, TargetHealth }) => `${Target?.Id} is ${TargetHealth?.State}`).join(', ') || 'it has none', // prettier-ignore
  };
}
