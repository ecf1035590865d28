import { resolve4 } from 'node:dns/promises';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { readerAddresses } from './addresses';
import { metricLine } from './metrics';
import { syncTargets, type Change } from './sync';
import { targetGroup } from './target-group';

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`environment variable ${name} is not set`);
  return value;
}

const client = new ElasticLoadBalancingV2Client({});

async function sync(role: 'writer' | 'readers', arn: string, addresses: readonly string[]): Promise<Change> {
  const change = await syncTargets(addresses, targetGroup(client, arn, Number(setting('PORT'))));
  const changes = change.registered.length + change.deregistered.length;
  if (changes > 0) console.log(JSON.stringify({ role, ...change }));
  // Not console.log, before whose lines the runtime puts a time: CloudWatch takes metrics from whole JSON lines.
  process.stdout.write(
    `${metricLine(setting('AWS_LAMBDA_FUNCTION_NAME'), role, { targets: addresses.length, changes }, new Date())}\n`,
  );
  return change;
}

/**
 * Entry point of the Lambda function, run each minute and at every failover. The events of RDS can come before its name
 * service has changed; the next minute then puts it right. The writer's group comes first: readers can wait.
 */
export async function handler(): Promise<Change> {
  const writer = await resolve4(setting('WRITER'));
  const change = await sync('writer', setting('TARGET_GROUP_ARN'), writer);
  const readerGroup = process.env['READER_TARGET_GROUP_ARN'];
  if (readerGroup !== undefined) {
    const instances = setting('INSTANCES').split(',');
    await sync('readers', readerGroup, await readerAddresses(instances, writer, resolve4));
  }
  return change;
}
