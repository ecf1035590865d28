import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverAccount } from '../../../lib/rehearsal/lab/account';
import { reachableNode } from '../../../lib/rehearsal/lab/cache';
import { Endpoint } from '../../../lib/rehearsal/lab/endpoint';
import { freePorts } from '../../../lib/rehearsal/lab/ports';

/** Answers each line with its name. */
async function echoServer(name: string): Promise<Server> {
  const server = createServer((socket) =>
    socket.on('data', () => socket.write(name)).on('error', () => socket.destroy()),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
const addressOf = (server: Server) => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });

describe('the endpoint', () => {
  let directory: string;
  let endpoint: Endpoint;
  let servers: Server[];
  const clients: Socket[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-test-'));
    chmodSync(directory, 0o755);
    servers = [await echoServer('source'), await echoServer('target')];
    const [port = 0] = await freePorts(1);
    const [source, target] = servers.map(addressOf) as [ReturnType<typeof addressOf>, ReturnType<typeof addressOf>];
    const place = {
      directory: join(directory, 'endpoint'),
      lab: directory,
      account: serverAccount(),
      node: await reachableNode(),
    };
    endpoint = new Endpoint({ ...place, port, source, target });
    endpoint.initialize();
    await endpoint.start();
  });
  beforeEach(() => endpoint.switchTo('source'));
  afterAll(async () => {
    for (const client of clients) client.destroy();
    await endpoint.stop();
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true });
  });

  const open = async (): Promise<Socket> => {
    const client = connect(endpoint.port, endpoint.host);
    clients.push(client);
    client.on('error', () => client.destroy());
    await once(client, 'connect');
    return client;
  };
  const ask = async (client: Socket): Promise<string> => {
    client.write('?');
    const [answer] = (await once(client, 'data')) as [Buffer];
    return answer.toString();
  };
  /** Whether with an error or without one. */
  const closing = (client: Socket): Promise<void> => new Promise((resolve) => client.once('close', () => resolve()));
  const command = (side: string) =>
    promisify(execFile)(endpoint.command[0] ?? '', [...endpoint.command.slice(1), side]);

  it('sends clients to the source at first', async () => {
    expect(await ask(await open())).toBe('source');
  });

  it('closes what is open when it is switched, and sends what comes to the other side', async () => {
    const before = await open();
    expect(await ask(before)).toBe('source');
    const closed = closing(before);
    await command('target');
    await closed;
    expect(await ask(await open())).toBe('target');
    await command('source');
    expect(await ask(await open())).toBe('source');
  });

  it('goes on with its side after it was killed and started again', async () => {
    await endpoint.switchTo('target');
    await endpoint.stop();
    await expect(endpoint.side()).rejects.toThrow(/does not answer/);
    await endpoint.start();
    expect(await ask(await open())).toBe('target');
  });

  it('closes the connection of a client whose server is not there', async () => {
    const [, target] = servers;
    target?.close();
    await endpoint.switchTo('target');
    const client = connect(endpoint.port, endpoint.host);
    clients.push(client);
    client.on('error', () => client.destroy());
    await closing(client);
    expect(await endpoint.side()).toBe('target');
  });

  it('refuses a side that does not exist, with a status that says so', async () => {
    await expect(command('nowhere')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('source|target') as string,
    });
    expect(await endpoint.side()).toBe('source');
  });
});
