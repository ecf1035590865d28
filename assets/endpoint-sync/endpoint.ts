import type { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { readerAddresses, type Resolve } from './addresses';
import { metricLine, type Role } from './metrics';
import { syncTargets, type Change } from './sync';
import { targetGroup } from './target-group';

/** Which groups lead to which servers. */
export interface EndpointSettings {
  /** Name of the function; a dimension of its metrics. */
  readonly functionName: string;
  /** Port on which every server listens. */
  readonly port: number;
  readonly writer: {
    readonly targetGroupArn: string;
    /** Name that follows the writer. */
    readonly host: string;
  };
  /** @default no such group */
  readonly readers?: {
    readonly targetGroupArn: string;
    /** Names of all servers, whichever writes. */
    readonly hosts: readonly string[];
  };
}

/** What a run asks of the outside. */
export interface EndpointServices {
  readonly resolve: Resolve;
  readonly client: ElasticLoadBalancingV2Client;
  /** Writes one line where CloudWatch Logs reads it, with nothing put before it. */
  readonly print: (line: string) => void;
  /** Passes before the load balancer is asked again whether it shows a new target. */
  readonly pause: () => Promise<void>;
}

/** What one run changed, by group. */
export type EndpointChange = Readonly<Partial<Record<Role, Change>>>;

/**
 * Leads both groups to the servers that have the roles now. The writer's comes first: readers can wait; but what fails
 * for one group leaves the other its turn. Throws at the end one error that names every group that failed, and why.
 */
export async function syncEndpoint(settings: EndpointSettings, services: EndpointServices): Promise<EndpointChange> {
  const { client, resolve, print, pause } = services;
  const changes: Partial<Record<Role, Change>> = {};
  const failures: string[] = [];
  const sync = async (role: Role, arn: string, addressesOf: () => Promise<readonly string[]>): Promise<void> => {
    try {
      const addresses = await addressesOf();
      const change = await syncTargets(addresses, targetGroup(client, arn, settings.port), pause);
      const count = change.registered.length + change.deregistered.length;
      if (count > 0) print(JSON.stringify({ role, ...change }));
      print(metricLine(settings.functionName, role, { targets: addresses.length, changes: count }, new Date()));
      changes[role] = change;
    } catch (error) {
      failures.push(`${role}: ${(error as Error).message}`);
    }
  };
  const { writer, readers } = settings;
  const writerAddresses = resolve(writer.host);
  await sync('writer', writer.targetGroupArn, () => writerAddresses);
  if (readers) {
    await sync('readers', readers.targetGroupArn, async () =>
      readerAddresses(readers.hosts, await writerAddresses, resolve),
    );
  }
  if (failures.length > 0) throw new Error(failures.join('; '));
  return changes;
}
