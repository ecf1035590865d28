import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { RDSClient } from '@aws-sdk/client-rds';
import type { AgentConfig, AwsTarget } from '../config';

/** Longest time that one call may take; milliseconds. A gate that waits longer holds up the cutover. */
const CALL_TIMEOUT_MS = 10_000;

/** The target as AWS knows it, and who asks. */
export interface AwsAccount extends AwsTarget {
  readonly rds: RDSClient;
  readonly cloudWatch: CloudWatchClient;
  readonly loadBalancers: ElasticLoadBalancingV2Client;
}

/**
 * The account of the target; undefined where the configuration describes none. Its login is the host's role.
 *
 * @param timeoutMs longest time of one call, which is tried three times; milliseconds
 */
export function openAws(config: AgentConfig, timeoutMs: number = CALL_TIMEOUT_MS): AwsAccount | undefined {
  const { aws } = config;
  if (!aws) return undefined;
  const options = { region: aws.region, requestHandler: { requestTimeout: timeoutMs, throwOnRequestTimeout: true } };
  return {
    ...aws,
    rds: new RDSClient(options),
    cloudWatch: new CloudWatchClient(options),
    loadBalancers: new ElasticLoadBalancingV2Client(options),
  };
}
