import { existsSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { Rds } from '../aws/rds';
import { DEFAULT_NODE } from '../../settings/defaults';
import type { Authority } from './authority';
import {
  bucket,
  jsonServices,
  metadata,
  cloudWatch,
  databases,
  loadBalancers,
  sendFile,
  waitCondition,
  type Account,
  type Signal,
} from './aws-services';
import type { Machine } from './machine';
import { system } from './programs';
import { Web, type Route } from './web';

export const REGION = 'eu-central-1';

/** Host names that the databases have inside a machine. */
export const SOURCE_HOST = 'db.source.example.org';
export const TARGET_HOST = `shop.cluster-abcdefghijkl.${REGION}.rds.amazonaws.com`;

const SIGNAL_HOST = `cloudformation-waitcondition-${REGION}.s3.${REGION}.amazonaws.com`;

/** A presigned address as CloudFormation gives it, with what shells and URLs give a meaning to. */
export const SIGNAL_URL = `https://${SIGNAL_HOST}/arn%3Aaws%3Acloudformation%3A${REGION}%3A123456789012%3Astack/ibex/0?AWSAccessKeyId=AKIA&Expires=1800000000&Signature=a%2Fb%3D`;

/** Where the PostgreSQL project's packages come from. */
export const CURRENT_HOST = 'apt.postgresql.org';
export const ARCHIVE_HOST = 'apt-archive.postgresql.org';

/** What the world around one machine is made of. */
export interface WorldSpec {
  readonly authority: Authority;
  /** .deb of Amazon's agent, and its version. */
  readonly agent: { readonly file: string; readonly version: string };
  /** The release of Node.js, which a caller may exchange for another file. */
  node: string;
  readonly bucket: string;
  /** Directories of the repositories, by host name. */
  readonly repositories: Readonly<Record<string, string>>;
}

/** The world around one machine, as far as its user data and the host program look at it: AWS, package sources, Node. */
export class World {
  readonly signals: Signal[] = [];
  /** The target as RDS knows it. */
  readonly rds = new Rds();
  /** Value, unit and instance of each metric, by its name. */
  readonly metrics = new Map<string, string>();
  readonly account = {
    region: REGION,
    objects: new Map<string, string>(),
    parameters: new Map<string, string>(),
    secrets: new Map<string, string>(),
  } satisfies Account;
  private readonly web = new Web();
  private readonly addresses = new Map<string, string>();
  private metadataAddress = '';

  private constructor(private readonly spec: WorldSpec) {}

  /** @param spec a change of its `node` is seen at the next download */
  static async open(spec: WorldSpec): Promise<World> {
    const world = new World(spec);
    const routes = world.routes();
    const hosts = Object.keys(routes);
    const certificate = await spec.authority.issue(`world-${Math.random().toString(36).slice(2, 8)}`, hosts);
    const address = await world.web.https(certificate, routes);
    for (const host of hosts) world.addresses.set(host, address);
    world.metadataAddress = await world.web.http(metadata);
    return world;
  }

  /** Gives a database the address that it has for the machine. Its port is 5432. */
  async reach(host: string, to: { readonly host: string; readonly port: number }): Promise<void> {
    this.addresses.set(host, await this.web.forward(3 + this.addresses.size, 5432, to));
  }

  /** Requests that nobody answered, for whoever looks for the cause of a failure. */
  get unanswered(): readonly string[] {
    return [...this.web.unanswered];
  }

  /** Puts the world's addresses and its authority into a machine that does not run. Nothing that it runs is touched. */
  async surround(machine: Machine): Promise<void> {
    const lines = [...this.addresses].map(([host, address]) => `${address} ${host}\n`);
    machine.write('/etc/hosts', `127.0.0.1 localhost\n${lines.join('')}`);
    machine.write('/usr/local/share/ca-certificates/ibex-test.crt', this.spec.authority.pem);
    await system('chroot', [machine.root, 'update-ca-certificates']);
    // Every service's environment. Node trusts authorities of its own; the metadata service's address is the link's.
    machine.write(
      '/etc/systemd/system.conf.d/world.conf',
      `[Manager]\nDefaultEnvironment=AWS_EC2_METADATA_SERVICE_ENDPOINT=http://${this.metadataAddress}/ NODE_EXTRA_CA_CERTS=/usr/local/share/ca-certificates/ibex-test.crt\n`,
    );
  }

  close(): Promise<void> {
    return this.web.close();
  }

  private routes(): Record<string, Route> {
    const { agent, bucket: name, repositories } = this.spec;
    const files: Readonly<Record<string, () => string>> = {
      [`s3.${REGION}.amazonaws.com/amazon-ssm-${REGION}/${agent.version}/debian_amd64/amazon-ssm-agent.deb`]: () =>
        this.spec.agent.file,
      [DEFAULT_NODE.url.replace('https://', '')]: () => this.spec.node,
    };
    const file: Route = (request, response) => {
      const found = files[`${request.headers.host}${request.url}`];
      if (found) sendFile(request, response, found());
      else response.writeHead(404).end();
    };
    return {
      ...jsonServices(this.account),
      [`s3.${REGION}.amazonaws.com`]: file,
      'nodejs.org': file,
      [`${name}.s3.${REGION}.amazonaws.com`]: bucket(name, this.account),
      [`monitoring.${REGION}.amazonaws.com`]: cloudWatch(this.metrics),
      [`rds.${REGION}.amazonaws.com`]: databases(this.rds),
      [`elasticloadbalancing.${REGION}.amazonaws.com`]: loadBalancers,
      [SIGNAL_HOST]: waitCondition(this.signals),
      'truststore.pki.rds.amazonaws.com': (request, response) => {
        response.writeHead(request.url === '/global/global-bundle.pem' ? 200 : 404).end(this.spec.authority.pem);
      },
      ...Object.fromEntries(Object.entries(repositories).map(([host, directory]) => [host, repository(directory)])),
    };
  }
}

/** An apt repository under the path that the PostgreSQL project uses. */
const repository =
  (directory: string): Route =>
  (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'https://apt').pathname));
    const file = join(directory, path.replace(/^\/pub\/repos\/apt\//, ''));
    if (existsSync(file) && statSync(file).isFile()) sendFile(request, response, file);
    else response.writeHead(404).end();
  };
