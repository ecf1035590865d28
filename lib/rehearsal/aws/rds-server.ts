import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Rds, type RdsOptions } from './rds';

/** Amazon RDS at an address of this machine. */
export class RdsServer {
  private constructor(
    private readonly server: Server,
    /** What answers, with everything that it was told. */
    readonly rds: Rds,
  ) {}

  /** @param what answers, or its habits. @default an RDS of the usual ones */
  static async start(what: Rds | RdsOptions = {}): Promise<RdsServer> {
    const rds = what instanceof Rds ? what : new Rds(what);
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (data: Buffer) => (body += String(data)));
      request.on('end', () => {
        const { status, text } = rds.answer(new URLSearchParams(body));
        response.writeHead(status, { 'content-type': 'text/xml' }).end(text);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new RdsServer(server, rds);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get calls(): string[] {
    return this.rds.calls;
  }

  get snapshots(): Rds['snapshots'] {
    return this.rds.snapshots;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
