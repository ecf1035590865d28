import type { Context } from '../context';

/** How often a call that was throttled, or that met a failing service, is tried. */
const ATTEMPTS = 5;

/** What every client of an AWS service is made with. The region is that of the secrets; without one, the machine's. */
export function awsClient({ config }: Context): { readonly region?: string; readonly maxAttempts: number } {
  return { maxAttempts: ATTEMPTS, ...(config.secrets.kind === 'aws' && { region: config.secrets.region }) };
}
