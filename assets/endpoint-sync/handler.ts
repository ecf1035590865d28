import { resolve4 } from 'node:dns/promises';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { syncTargets, type Change } from './sync';
import { targetGroup } from './target-group';

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`environment variable ${name} is not set`);
  return value;
}

const client = new ElasticLoadBalancingV2Client({});

/**
 * Entry point of the Lambda function, run each minute and at every failover. The events of RDS can come before its name
 * service has changed; the next minute then puts it right.
 */
export async function handler(): Promise<Change> {
  const group = targetGroup(client, setting('TARGET_GROUP_ARN'), Number(setting('PORT')));
  const change = await syncTargets(await resolve4(setting('WRITER')), group);
  if (change.registered.length + change.deregistered.length > 0) console.log(JSON.stringify(change));
  return change;
}
