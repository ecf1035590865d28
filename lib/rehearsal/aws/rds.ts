import { escape } from 'html-escaper';

/** How snapshots fare here. */
export interface RdsOptions {
  /** States that a snapshot shows, one a look, the last one for ever. @default ['creating', 'available'] */
  readonly states?: readonly string[];
  /** Calls, from the first, that are refused for being too many. @default 0 */
  readonly throttled?: number;
}

/** What is answered over HTTP. */
export interface RdsAnswer {
  readonly status: number;
  readonly text: string;
}

interface Snapshot {
  readonly of: string;
  readonly at: string;
  looks: number;
}

/** Parameters that RDS takes in one call. */
const MOST_PARAMETERS = 20;

/** Amazon RDS as far as runbooks, gates and the profile document call it, by the query protocol. */
export class Rds {
  /** Operations so far, refused ones too. */
  readonly calls: string[] = [];
  /** Snapshots by their name, with the database that they are of and the looks at them so far. */
  readonly snapshots = new Map<string, Snapshot>();
  /** Values that each parameter group was given. */
  readonly groups = new Map<string, Record<string, string>>();
  /** Servers whose static values wait for a restart. */
  readonly pending = new Set<string>();

  constructor(private readonly options: RdsOptions = {}) {}

  /** @param query the form of the call */
  answer(query: URLSearchParams): RdsAnswer {
    const action = query.get('Action') ?? '';
    this.calls.push(action);
    if (this.calls.length <= (this.options.throttled ?? 0)) return refusal(400, 'Throttling', 'Rate exceeded');
    const [, verb, kind] =
      /^(Create|Describe|Modify)(DBClusterSnapshot|DBSnapshot|DBClusterParameterGroup|DBParameterGroup|DBInstance|DBCluster)s?$/.exec(
        action,
      ) ?? [];
    switch (`${verb} ${kind?.replace('Cluster', '')}`) {
      case 'Create DBSnapshot':
        return this.create(kind ?? '', query);
      case 'Describe DBSnapshot':
        return this.list(kind ?? '', query);
      case 'Modify DBParameterGroup':
        return this.modify(kind ?? '', query);
      case 'Describe DBInstance':
        return this.instance(query.get('DBInstanceIdentifier') ?? '');
      case 'Describe DB':
        return this.cluster();
      default:
        return refusal(400, 'InvalidAction', `no action ${action}`);
    }
  }

  private create(kind: string, query: URLSearchParams): RdsAnswer {
    const name = query.get(`${kind}Identifier`) ?? '';
    if (!/^(?!.*--)[a-zA-Z][a-zA-Z0-9-]{0,62}(?<!-)$/.test(name))
      return refusal(400, 'InvalidParameterValue', `${name} is no name of a snapshot`);
    if (this.snapshots.has(name)) return refusal(400, `${kind}AlreadyExistsFault`, `${name} exists`);
    const snapshot = { of: query.get(ownerOf(kind)) ?? '', at: new Date().toISOString(), looks: 0 };
    this.snapshots.set(name, snapshot);
    return reply(`Create${kind}`, shown(kind, name, snapshot, 'creating'));
  }

  /** One by its name, or all of a database. */
  private list(kind: string, query: URLSearchParams): RdsAnswer {
    const asked = query.get(`${kind}Identifier`);
    if (asked !== null && !this.snapshots.has(asked))
      return refusal(404, `${kind}NotFoundFault`, `${kind} ${asked} not found`);
    const found = [...this.snapshots].filter(([name, { of }]) =>
      asked === null ? of === query.get(ownerOf(kind)) : name === asked,
    );
    const states = this.options.states ?? ['creating', 'available'];
    const members = found.map(([name, snapshot]) => {
      const state = states[Math.min(snapshot.looks++, states.length - 1)] ?? '';
      return shown(kind, name, snapshot, state);
    });
    return reply(`Describe${kind}s`, `<${kind}s>${members.join('')}</${kind}s>`);
  }

  private modify(kind: string, query: URLSearchParams): RdsAnswer {
    const group = query.get(`${kind}Name`) ?? '';
    const given: Record<string, string> = {};
    for (let at = 1; query.has(`Parameters.Parameter.${at}.ParameterName`); at += 1) {
      const field = (name: string): string => query.get(`Parameters.Parameter.${at}.${name}`) ?? '';
      if (field('ApplyMethod') !== 'immediate')
        return refusal(400, 'InvalidParameterCombination', `cannot use ${field('ApplyMethod')} apply method here`);
      given[field('ParameterName')] = field('ParameterValue');
    }
    const count = Object.keys(given).length;
    if (count === 0 || count > MOST_PARAMETERS)
      return refusal(400, 'InvalidParameterValue', `${count} parameters are none or too many`);
    this.groups.set(group, { ...this.groups.get(group), ...given });
    return reply(`Modify${kind}`, `<${kind}Name>${escape(group)}</${kind}Name>`);
  }

  private cluster(): RdsAnswer {
    const members = [...this.pending].map(
      (name) =>
        `<DBClusterMember><DBInstanceIdentifier>${escape(name)}</DBInstanceIdentifier><DBClusterParameterGroupStatus>pending-reboot</DBClusterParameterGroupStatus></DBClusterMember>`,
    );
    return reply(
      'DescribeDBClusters',
      `<DBClusters><DBCluster><DBClusterMembers>${members.join('')}</DBClusterMembers></DBCluster></DBClusters>`,
    );
  }

  private instance(name: string): RdsAnswer {
    const status = this.pending.has(name) ? 'pending-reboot' : 'in-sync';
    return reply(
      'DescribeDBInstances',
      `<DBInstances><DBInstance><DBInstanceIdentifier>${escape(name)}</DBInstanceIdentifier><DBParameterGroups><DBParameterGroup><DBParameterGroupName>group</DBParameterGroupName><ParameterApplyStatus>${status}</ParameterApplyStatus></DBParameterGroup></DBParameterGroups><PendingModifiedValues/></DBInstance></DBInstances>`,
    );
  }
}

/** Name of the field that says of which database a snapshot is. */
const ownerOf = (kind: string): string => (kind === 'DBSnapshot' ? 'DBInstanceIdentifier' : 'DBClusterIdentifier');

const shown = (kind: string, name: string, { of, at }: Snapshot, state: string): string =>
  `<${kind}><${kind}Identifier>${escape(name)}</${kind}Identifier><${ownerOf(kind)}>${escape(of)}</${ownerOf(kind)}><SnapshotCreateTime>${at}</SnapshotCreateTime><Status>${escape(state)}</Status></${kind}>`;

const reply = (action: string, result: string): RdsAnswer => ({
  status: 200,
  text: `<${action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><${action}Result>${result}</${action}Result></${action}Response>`,
});

const refusal = (status: number, code: string, message: string): RdsAnswer => ({
  status,
  text: `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escape(message)}</Message></Error></ErrorResponse>`,
});
