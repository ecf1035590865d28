import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { escape } from 'html-escaper';

/** How snapshots fare here. */
export interface RdsOptions {
  /** States that a snapshot shows, one a look, the last one for ever. @default ['creating', 'available'] */
  readonly states?: readonly string[];
  /** Calls, from the first, that are refused for being too many. @default 0 */
  readonly throttled?: number;
}

/** Amazon RDS as far as runbooks call it: snapshots of a cluster or an instance, by the query protocol. */
export class RdsServer {
  /** Operations so far, refused ones too. */
  readonly calls: string[] = [];
  /** Snapshots by their name, with the database that they are of and the looks at them so far. */
  readonly snapshots = new Map<string, { readonly of: string; looks: number }>();

  private constructor(
    private readonly server: Server,
    private readonly options: RdsOptions,
  ) {}

  static async start(options: RdsOptions = {}): Promise<RdsServer> {
    const server = createServer();
    const rds = new RdsServer(server, options);
    server.on('request', (request, response) => {
      let body = '';
      request.on('data', (data: Buffer) => (body += String(data)));
      request.on('end', () => {
        const { status, text } = rds.answer(new URLSearchParams(body));
        response.writeHead(status, { 'content-type': 'text/xml' }).end(text);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return rds;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(query: URLSearchParams): { status: number; text: string } {
    const action = query.get('Action') ?? '';
    this.calls.push(action);
    if (this.calls.length <= (this.options.throttled ?? 0)) return refusal(400, 'Throttling', 'Rate exceeded');
    const [, verb, kind] = /^(Create|Describe)(DBClusterSnapshot|DBSnapshot)s?$/.exec(action) ?? [];
    if (verb === undefined || kind === undefined) return refusal(400, 'InvalidAction', `no action ${action}`);
    const name = query.get(`${kind}Identifier`) ?? '';
    if (verb === 'Create') return this.create(kind, name, query.get(ownerOf(kind)) ?? '');
    const snapshot = this.snapshots.get(name);
    if (!snapshot) return refusal(404, `${kind}NotFoundFault`, `${kind} ${name} not found`);
    const states = this.options.states ?? ['creating', 'available'];
    const state = states[Math.min(snapshot.looks, states.length - 1)] ?? '';
    snapshot.looks += 1;
    return reply(action, `<${kind}s>${shown(kind, name, snapshot.of, state)}</${kind}s>`);
  }

  private create(kind: string, name: string, of: string): { status: number; text: string } {
    if (!/^(?!.*--)[a-zA-Z][a-zA-Z0-9-]{0,62}(?<!-)$/.test(name))
      return refusal(400, 'InvalidParameterValue', `${name} is no name of a snapshot`);
    if (this.snapshots.has(name)) return refusal(400, `${kind}AlreadyExistsFault`, `${name} exists`);
    this.snapshots.set(name, { of, looks: 0 });
    return reply(`Create${kind}`, shown(kind, name, of, 'creating'));
  }
}

/** Name of the field that says of which database a snapshot is. */
const ownerOf = (kind: string): string => (kind === 'DBSnapshot' ? 'DBInstanceIdentifier' : 'DBClusterIdentifier');

const shown = (kind: string, name: string, of: string, state: string): string =>
  `<${kind}><${kind}Identifier>${escape(name)}</${kind}Identifier><${ownerOf(kind)}>${escape(of)}</${ownerOf(kind)}><Status>${escape(state)}</Status></${kind}>`;

const reply = (action: string, result: string): { status: number; text: string } => ({
  status: 200,
  text: `<${action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><${action}Result>${result}</${action}Result></${action}Response>`,
});

const refusal = (status: number, code: string, message: string): { status: number; text: string } => ({
  status,
  text: `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escape(message)}</Message></Error></ErrorResponse>`,
});
