import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { randomInt } from 'node:crypto';
import { Failure } from '../../../assets/agent/errors';
import { recordedPorts } from './lab-directory';

const LOWEST = 20_000;

/** First port of the range that the kernel hands out to outgoing connections. */
function firstEphemeral(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
  } catch {
    return 32_768;
  }
}

const canListen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });

/**
 * Ports of 127.0.0.1 that nobody listens on and no other lab was given. Below the kernel's range for outgoing
 * connections: a client that tries a stopped server's port again and again could be given that very port as its own,
 * and would then be connected to itself.
 */
export async function freePorts(count: number): Promise<number[]> {
  const end = firstEphemeral() > LOWEST + 1000 ? firstEphemeral() : 32_768;
  const taken = recordedPorts();
  const found = new Set<number>();
  for (let attempt = 0; found.size < count; attempt++) {
    if (attempt > 1000)
      throw new Failure(`no ${count} free ports between ${LOWEST} and ${end} on 127.0.0.1; stop what listens there`);
    const port = randomInt(LOWEST, end);
    if (!taken.has(port) && (await canListen(port))) found.add(port);
  }
  return [...found];
}
