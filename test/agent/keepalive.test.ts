import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectTo } from '../../assets/agent/connect';
import type { Endpoint } from '../../assets/agent/endpoints';
import { writeServices } from '../../assets/agent/libpq';

/** A server that accepts and never answers, as a database that works for an hour on one statement. */
let silent: Server;
let endpoint: Endpoint;
const accepted: Socket[] = [];

beforeAll(async () => {
  silent = createServer((socket) => accepted.push(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  endpoint = { end: 'source', host: '127.0.0.1', port, database: 'x', user: 'x', password: 'x', sslmode: 'disable' };
});

afterAll(() => {
  for (const socket of accepted) socket.destroy();
  silent.close();
});

/** Seconds after which the kernel asks a silent peer first, on the connection to the server. */
async function askedAfter(): Promise<number> {
  await once(silent, 'connection');
  for (;;) {
    const found = execFileSync('ss', ['-tno', 'dst', `127.0.0.1:${endpoint.port}`], { encoding: 'utf8' });
    const [, seconds, unit] = /timer:\(keepalive,([\d.]+)(sec|ms|min)/.exec(found) ?? [];
    if (seconds !== undefined) return unit === 'sec' ? Number(seconds) : unit === 'ms' ? 0 : Infinity;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// NAT gateways and load balancers of AWS forget a connection that was silent for 350 s, and tell neither end.
test('the connections of the program ask a silent peer after 30 s', async () => {
  const connecting = connectTo(endpoint, 'test').catch(() => undefined);
  const seconds = await askedAfter();
  expect(seconds).toBeGreaterThan(20);
  expect(seconds).toBeLessThanOrEqual(30);
  accepted.pop()?.destroy();
  await connecting;
});

test('so do those of pg_dump, pg_restore and Bucardo, by the service file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-keepalive-'));
  try {
    const serviceFile = join(directory, 'service.conf');
    writeServices(serviceFile, [{ name: 'silent', endpoint }]);
    const psql = spawn('psql', ['-X', '-c', 'SELECT'], {
      env: { PATH: process.env['PATH'] ?? '', PGSERVICEFILE: serviceFile, PGSERVICE: 'silent' },
      stdio: 'ignore',
    });
    const seconds = await askedAfter();
    psql.kill();
    await once(psql, 'exit');
    expect(seconds).toBeGreaterThan(20);
    expect(seconds).toBeLessThanOrEqual(30);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
