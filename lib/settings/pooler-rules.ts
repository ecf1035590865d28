import { byDefault, integer, object, optional, secretArn, text, type Rule } from './check';
import { DEBIAN_13_PARAMETER } from './defaults';
import type { ImageSettings } from './types';
import type { PoolerSourceSettings, ResolvedPooler } from './pooler-types';

const instanceClass = /^([cm](5|5a|6i|6a|7i|7a)\.(large|2?xlarge)|t3a?\.(small|medium|large|2?xlarge))$/;

/** Rules about the pooler. @param image the rule about machine images */
export const poolerRule = (image: Rule<ImageSettings>): Rule<ResolvedPooler> =>
  object<ResolvedPooler>({
    source: optional(
      object<PoolerSourceSettings>({
        host: text('must be a host name or an IPv4 address', /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/),
        // What a configuration file of PgBouncer can hold on one line.
        database: text('must be the name of a database, without control characters', /^[^\p{Cc}]{1,63}$/u),
      }),
    ),
    port: byDefault(6432, integer('TCP port', 1, 65_535)),
    instanceType: byDefault(
      'c6i.large',
      text('must be a small x86 class of the c, m or t families, such as "c6i.large"', instanceClass),
    ),
    image: byDefault({ ssmParameter: DEBIAN_13_PARAMETER }, image),
    connectionsPerLogin: byDefault(40, integer('connections', 1, 1_000)),
    maxClients: byDefault(2_000, integer('clients', 10, 20_000)),
    certificateSecretArn: optional(secretArn),
  });
