import {
  DeregisterTargetsCommand,
  DescribeTargetHealthCommand,
  type ElasticLoadBalancingV2Client,
  RegisterTargetsCommand,
  TargetHealthStateEnum,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { TargetGroup } from './sync';

/** A target group of IP addresses, by its ARN; every target listens on the same port. */
export function targetGroup(client: ElasticLoadBalancingV2Client, arn: string, port: number): TargetGroup {
  const targets = (addresses: readonly string[]) => ({
    TargetGroupArn: arn,
    Targets: addresses.map((address) => ({ Id: address, Port: port })),
  });
  return {
    async registered() {
      const { TargetHealthDescriptions = [] } = await client.send(
        new DescribeTargetHealthCommand({ TargetGroupArn: arn }),
      );
      return TargetHealthDescriptions.filter(
        ({ TargetHealth }) => TargetHealth?.State !== TargetHealthStateEnum.DRAINING,
      )
        .map(({ Target }) => Target?.Id)
        .filter((address) => address !== undefined);
    },
    async register(addresses) {
      await client.send(new RegisterTargetsCommand(targets(addresses)));
    },
    async deregister(addresses) {
      await client.send(new DeregisterTargetsCommand(targets(addresses)));
    },
  };
}
