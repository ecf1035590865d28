import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { Failure } from '../../../assets/agent/errors';
import type { Certificate } from './authority';

/** Answers one request, whose body has been read. */
export type Route = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** What is asked for and not known, by `METHOD host path`. */
export type Unanswered = Set<string>;

/**
 * Addresses of this machine alone on which the services of the world outside are played: HTTPS by host name, plain HTTP
 * for the metadata service, and TCP ports that lead elsewhere.
 */
export class Web {
  readonly unanswered: Unanswered = new Set();
  private readonly servers: (Server | TcpServer)[] = [];
  private readonly sockets = new Set<Socket>();
  /** First three numbers of the addresses: a network of 127/8 that no other run is likely to have. */
  private readonly network = `127.${randomInt(64, 250)}.${randomInt(1, 250)}`;

  /** Serves HTTPS on port 443, by the host name of the request. @returns the address */
  async https(certificate: Certificate, routes: Readonly<Record<string, Route>>): Promise<string> {
    const files = { key: readFileSync(certificate.key), cert: readFileSync(certificate.certificate) };
    const server = createHttpsServer(files, (request, response) => {
      const host = request.headers.host ?? '';
      this.dispatch(routes[host], `${request.method} ${host} ${request.url}`, request, response);
    });
    return this.listen(server, 1, 443);
  }

  /** Serves HTTP on port 80. @returns the address */
  http(route: Route): Promise<string> {
    return this.listen(
      createHttpServer((request, response) =>
        this.dispatch(route, `${request.method} ${request.url}`, request, response),
      ),
      2,
      80,
    );
  }

  /** Leads a port of an address of its own to another one. @param number of the address, 3 to 250 @returns the address */
  forward(number: number, port: number, to: { readonly host: string; readonly port: number }): Promise<string> {
    const server = createTcpServer({ noDelay: true }, (near) => {
      const far = connect({ ...to, noDelay: true });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.sockets.add(socket);
        socket
          .on('error', () => other.destroy())
          .on('close', () => {
            this.sockets.delete(socket);
            other.destroy();
          });
      }
      near.pipe(far).pipe(near);
    });
    return this.listen(server, number, port);
  }

  /** Ends all of it. */
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.servers) if ('closeAllConnections' in server) server.closeAllConnections();
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  private dispatch(route: Route | undefined, what: string, request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.on('finish', () => {
        if (response.statusCode === 404) this.unanswered.add(what);
      });
      if (route) route(request, response, Buffer.concat(chunks));
      else response.writeHead(404).end();
    });
  }

  private listen(server: Server | TcpServer, number: number, port: number): Promise<string> {
    const address = `${this.network}.${number}`;
    this.servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', (error) => reject(new Failure(`${address}:${port} cannot be had: ${error.message}`)));
      server.listen(port, address, () => resolve(address));
    });
  }
}
