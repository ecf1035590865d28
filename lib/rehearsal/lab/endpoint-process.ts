import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** The side of the migration that clients are sent to. */
export type Side = 'source' | 'target';

/** What the endpoint keeps on disk, so that it goes on where it stood. */
export interface EndpointState {
  readonly side: Side;
  readonly source: { readonly host: string; readonly port: number };
  readonly target: { readonly host: string; readonly port: number };
}

const isSide = (text: string): text is Side => text === 'source' || text === 'target';

const readState = (file: string): EndpointState => JSON.parse(readFileSync(file, 'utf8')) as EndpointState;

/** Written whole or not at all. */
function writeState(file: string, state: EndpointState): void {
  writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Forwards TCP connections to the side that the state names, and takes orders on a Unix socket. */
export function serve(stateFile: string, controlSocket: string, port: number): void {
  let state = readState(stateFile);
  const pairs = new Map<Socket, Socket>();

  const forward = (client: Socket): void => {
    const server = connect({ ...state[state.side], noDelay: true });
    pairs.set(client, server);
    client.setNoDelay(true);
    // A reset, as a load balancer does it: the client learns at once, and nothing that the old side still says arrives.
    const end = (): void => {
      pairs.delete(client);
      server.destroy();
      client.resetAndDestroy();
    };
    client.once('error', end).once('close', end);
    server.once('error', end).once('close', () => client.end(end));
    client.pipe(server);
    server.pipe(client);
  };

  const switchTo = (side: Side): void => {
    state = { ...state, side };
    writeState(stateFile, state);
    for (const [client, server] of pairs) {
      server.destroy();
      client.resetAndDestroy();
    }
    pairs.clear();
  };

  const obey = (socket: Socket): void => {
    socket.setEncoding('utf8').once('data', (line: string) => {
      const order = line.trim();
      if (isSide(order)) switchTo(order);
      socket.end(
        isSide(order) || order === 'side' ? `${state.side}\n` : `error: ${order} is neither source nor target\n`,
      );
    });
    socket.on('error', () => socket.destroy());
  };

  const fatal = (error: Error): void => {
    process.stderr.write(`endpoint: ${error.message}\n`);
    process.exit(1);
  };
  rmSync(controlSocket, { force: true });
  const clients: Server = createServer(forward).once('error', fatal);
  clients.listen(port, '127.0.0.1', () => createServer(obey).once('error', fatal).listen(controlSocket));
}

/** Sends one order to a running endpoint, and gives back the side it answers. Rejects with one line when it does not. */
export function order(controlSocket: string, what: Side | 'side'): Promise<Side> {
  return new Promise((resolve, reject) => {
    const socket = connect(controlSocket);
    let answer = '';
    socket.setEncoding('utf8').setTimeout(5000, () => socket.destroy(new Error('no answer within 5 s')));
    socket.once('error', (error) => reject(new Error(`endpoint ${controlSocket} does not answer: ${error.message}`)));
    socket.on('data', (text: string) => (answer += text));
    socket.once('end', () => {
      const side = answer.trim();
      if (isSide(side)) resolve(side);
      else reject(new Error(`endpoint ${controlSocket}: ${side || 'closed without an answer'}`));
    });
    socket.write(`${what}\n`);
  });
}

function main([first, second, third, fourth]: readonly string[]): void {
  if (first === 'serve' && second && third && fourth) return serve(second, third, Number(fourth));
  if (first && second && isSide(second)) {
    order(first, second).then(
      (side) => process.stdout.write(`clients are sent to the ${side}\n`),
      (error: Error) => {
        process.stderr.write(`${error.message}\n`);
        process.exitCode = 1;
      },
    );
    return;
  }
  process.stderr.write('usage: endpoint <control socket> source|target\n');
  process.exitCode = 2;
}

if (require.main === module) main(process.argv.slice(2));
