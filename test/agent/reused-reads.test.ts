import { once } from 'node:events';
import { createServer, Socket, type AddressInfo, type Server } from 'node:net';
import { borrowReads, reusingSocket } from '../../assets/agent/reused-reads';
import { until } from '../helpers/until';

/** Each byte tells its place, as far as a byte can. */
const SENT = Buffer.from(Uint8Array.from({ length: 4_000_000 }, (_, i) => (i * 31 + (i >> 8)) % 251));

let server: Server;
beforeAll(async () => {
  server = createServer((client) => {
    client.on('error', () => undefined);
    client.on('data', (asked) => asked.forEach(() => client.write(SENT)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => server.close());

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** A connected socket with one listener, as a session has it; what that heard is in `heard`. */
async function open(make: () => Socket): Promise<{ socket: Socket; heard: Buffer[]; ask: () => void }> {
  const socket = make();
  sockets.push(socket);
  const heard: Buffer[] = [];
  socket.on('data', (piece: Buffer) => heard.push(piece));
  socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  return { socket, heard, ask: () => socket.write('?') };
}

/** Waits until so many bytes of pieces are there. */
const arrived = (pieces: readonly Buffer[], bytes: number): Promise<boolean> =>
  until(() => pieces.reduce((sum, piece) => sum + piece.length, 0) >= bytes);

describe('memory that a socket reads into again', () => {
  it('is not touched while what was read is still in use', async () => {
    const { socket, ask } = await open(reusingSocket);
    const held: { piece: Buffer; release: () => void }[] = [];
    const whole: Buffer[] = [];
    borrowReads(socket, (piece, release) => {
      held.push({ piece, release });
      whole.push(Buffer.from(piece));
      // The oldest go first, so that some are always in use while others are read into.
      if (held.length > 5) {
        const [oldest] = held.splice(0, 1);
        expect(oldest?.piece.equals(whole[whole.length - 6] as Buffer)).toBe(true);
        oldest?.release();
      }
    });
    ask();
    await arrived(whole, SENT.length);
    expect(Buffer.concat(whole).equals(SENT)).toBe(true);
  });

  it('is no more than what was in use at once, however much is read', async () => {
    const { socket, ask } = await open(reusingSocket);
    const memory = new Set<ArrayBufferLike>();
    const inUse = { now: 0, most: 0 };
    let bytes = 0;
    borrowReads(socket, (piece, release) => {
      memory.add(piece.buffer);
      bytes += piece.length;
      inUse.now += 1;
      inUse.most = Math.max(inUse.most, inUse.now);
      setImmediate(() => {
        inUse.now -= 1;
        release();
      });
    });
    for (let i = 0; i < 5; i += 1) ask();
    await until(() => bytes >= 5 * SENT.length);
    expect(memory.size).toBeLessThanOrEqual(inUse.most + 1);
  });

  it('is never what those who listen are given: they may keep it', async () => {
    const { heard, ask } = await open(reusingSocket);
    ask();
    ask();
    await arrived(heard, 2 * SENT.length);
    expect(Buffer.concat(heard).equals(Buffer.concat([SENT, SENT]))).toBe(true);
  });
});

describe.each([
  ['reads into memory of its own', reusingSocket],
  ['cannot, as with TLS', () => new Socket()],
])('what a session reads that %s', (_, make) => {
  it('goes to the borrower alone, and after that the rest and all that follows to the listener', async () => {
    const { socket, heard, ask } = await open(make);
    const borrowed: Buffer[] = [];
    const half = SENT.length / 2;
    let bytes = 0;
    const giveBack = borrowReads(socket, (piece, release) => {
      const mine = piece.subarray(0, Math.min(piece.length, half - bytes));
      borrowed.push(Buffer.from(mine));
      bytes += mine.length;
      if (bytes === half) giveBack(piece.subarray(mine.length));
      release();
    });
    ask();
    await arrived(heard, SENT.length - half);
    ask();
    await arrived(heard, 2 * SENT.length - half);
    expect(Buffer.concat([...borrowed, ...heard]).equals(Buffer.concat([SENT, SENT]))).toBe(true);
  });

  it('may be borrowed again', async () => {
    const { socket, heard, ask } = await open(make);
    for (let time = 1; time <= 3; time += 1) {
      const borrowed: Buffer[] = [];
      let giveBack: (rest: Buffer) => void = () => undefined;
      giveBack = borrowReads(socket, (piece, release) => {
        borrowed.push(Buffer.from(piece));
        release();
      });
      ask();
      await arrived(borrowed, SENT.length);
      giveBack(Buffer.from([time]));
      expect(Buffer.concat(borrowed).equals(SENT)).toBe(true);
    }
    expect(Buffer.concat(heard)).toEqual(Buffer.from([1, 2, 3]));
  });
});

it('a session that others listen to is not borrowed from: they would miss what is read', async () => {
  const { socket } = await open(() => new Socket());
  socket.on('data', () => undefined);
  expect(() => borrowReads(socket, () => undefined)).toThrow('the session has not exactly one reader');
});
