import { Resolver } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { syncEndpoint, type EndpointChange, type EndpointServices, type EndpointSettings } from './endpoint';

/** What the function's environment says. Throws an error that names what is missing. */
export function settingsOf(environment: Readonly<Record<string, string | undefined>>): EndpointSettings {
  const setting = (name: string): string => {
    const value = environment[name];
    if (value === undefined || value === '') throw new Error(`environment variable ${name} is not set`);
    return value;
  };
  const readerGroup = environment['READER_TARGET_GROUP_ARN'];
  return {
    functionName: setting('AWS_LAMBDA_FUNCTION_NAME'),
    port: Number(setting('PORT')),
    writer: { targetGroupArn: setting('TARGET_GROUP_ARN'), host: setting('WRITER') },
    ...(readerGroup !== undefined && {
      readers: { targetGroupArn: readerGroup, hosts: setting('INSTANCES').split(',') },
    }),
  };
}

const resolver = new Resolver({ timeout: 2_000, tries: 3 });

const services: EndpointServices = {
  resolve: (name) => resolver.resolve4(name),
  client: new ElasticLoadBalancingV2Client({}),
  // Not console.log, before whose lines the runtime puts a time: CloudWatch takes metrics from whole JSON lines.
  print: (line) => void process.stdout.write(`${line}\n`),
  pause: () => sleep(1_000),
};

/**
 * Entry point of the Lambda function, run each minute and at every failover. The events of RDS can come before its name
 * service has changed; the next minute then puts it right.
 */
export const handler = (): Promise<EndpointChange> => syncEndpoint(settingsOf(process.env), services);
