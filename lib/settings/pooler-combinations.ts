import type { Combination } from './combination';

const RULES_OF_A_SECURITY_GROUP = 60;

/** What pooler, endpoint and logins demand of each other. */
export const poolerCombinations: readonly Combination[] = [
  [
    ['endpoint'],
    ({ endpoint }, mistakes) => {
      const others = {
        port: endpoint.port,
        readerPort: endpoint.readerPort,
        'source.otherPort': endpoint.source?.otherPort,
      };
      for (const [name, port] of Object.entries(others)) {
        if (endpoint.pooler === undefined || endpoint.pooler.port !== port) continue;
        mistakes.add(
          'endpoint.pooler.port',
          port,
          `must differ from endpoint.${name}: a load balancer has one listener on each port`,
        );
      }
    },
  ],
  [
    ['endpoint'],
    ({ endpoint }, mistakes) => {
      const { pooler, readerPort, source } = endpoint;
      const listeners = 1 + [pooler, readerPort, source].filter((each) => each !== undefined).length;
      const most = Math.floor(RULES_OF_A_SECURITY_GROUP / listeners);
      if (endpoint.allowedCidrs.length <= most) return;
      mistakes.add(
        'endpoint.allowedCidrs',
        endpoint.allowedCidrs,
        `must be at most ${most} networks: each is let in at ${listeners} listeners, and a security group holds ${RULES_OF_A_SECURITY_GROUP} rules`,
      );
    },
  ],
  [
    ['endpoint.pooler', 'agent.applicationLogins'],
    ({ endpoint, agent }, mistakes) => {
      if (!endpoint.pooler || Object.keys(agent.applicationLogins).length > 0) return;
      mistakes.add(
        'agent.applicationLogins',
        agent.applicationLogins,
        "must name the applications' logins and their secrets: RDS shows nobody its verifiers, so the pooler knows no other login, and no application could connect",
      );
    },
  ],
  [
    ['endpoint.pooler', 'agent.applicationLogins'],
    ({ endpoint, agent }, mistakes) => {
      const reserved = ['ibex_admin', 'pgbouncer'].find((name) => name in agent.applicationLogins);
      if (!endpoint.pooler || reserved === undefined) return;
      mistakes.add(
        `agent.applicationLogins.${reserved}`,
        reserved,
        "must have another name: it is a login of the pooler's own console, and an application would command the pooler",
      );
    },
  ],
  [
    ['endpoint.pooler', 'agent.cutover.switches'],
    ({ endpoint, agent }, mistakes) => {
      const { switches } = agent.cutover;
      const moves = switches.some(({ kind }) => kind === 'pooler');
      const leads = endpoint.pooler?.source !== undefined;
      if (moves === leads) return;
      mistakes.add(
        'agent.cutover.switches',
        switches,
        moves
          ? 'must not name the pooler without endpoint.pooler.source: it would have no clients to move'
          : 'must name {"kind": "pooler"}: with endpoint.pooler.source its clients would stay on the source',
      );
    },
  ],
];
