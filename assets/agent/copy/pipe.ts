import type { Client, Connection, Submittable } from 'pg';
import type { Socket } from 'node:net';
import { borrowReads } from '../reused-reads';
import { CopyFrames } from './frames';

/** What went from one server to the other. */
export interface Piped {
  /** As the receiving server counted them. */
  readonly rows: number;
  /** Bytes of COPY's data with the heads of its messages. */
  readonly bytes: number;
}

/** What a pipe may be told beside its two ends. */
export interface PipeOptions {
  /** Told of each piece; answers how long to wait before the next one is read; milliseconds. @default no wait */
  readonly onBytes?: (bytes: number) => number;
  /** Breaks the pipe off; its reason is what is thrown then. @default never */
  readonly signal?: AbortSignal;
}

/** A COPY that broke off: both sessions are in the midst of it, and are closed. The cause says why. */
export class PipeBroken extends Error {
  constructor(
    /** Which server, or the connection to it, gave up first. */
    readonly end: 'source' | 'target',
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/** The part of `pg`'s connection that is used here. */
type Wire = Connection & { readonly stream: Socket; query(text: string): void };

/** How `pg` speaks to whoever has the session. */
abstract class Copy implements Submittable {
  /** Resolves when the server is ready for the next statement. */
  readonly done: Promise<number>;
  protected wire: Wire | undefined;
  private resolve: (rows: number) => void = () => undefined;
  private reject: (error: unknown) => void = () => undefined;
  private rows = 0;

  constructor(private readonly text: string) {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.done.catch(() => undefined);
  }

  submit(connection: Connection): void {
    this.wire = connection as Wire;
    this.wire.query(this.text);
  }

  handleError(error: unknown): void {
    this.reject(error);
  }

  handleCommandComplete(message: { readonly text?: string }): void {
    this.rows = Number(/^COPY (\d+)/.exec(message.text ?? '')?.[1] ?? 0);
  }

  handleReadyForQuery(): void {
    this.resolve(this.rows);
  }
}

/** COPY FROM STDIN, up to the moment that the server wants rows. */
class CopyIn extends Copy {
  readonly ready: Promise<Socket>;
  private open: (socket: Socket) => void = () => undefined;

  constructor(text: string) {
    super(text);
    this.ready = new Promise((resolve, reject) => {
      this.open = resolve;
      this.done.then(() => reject(new Error('the server wants no rows')), reject);
    });
    this.ready.catch(() => undefined);
  }

  handleCopyInResponse(connection: Connection): void {
    this.open((connection as Wire).stream);
  }
}

/** COPY TO STDOUT, whose rows go past `pg`'s parser, from socket to socket. */
class CopyOut extends Copy {
  private readonly frames = new CopyFrames();
  private bytes = 0;

  constructor(
    text: string,
    private readonly sink: Socket,
    private readonly onBytes: (bytes: number) => number,
  ) {
    super(text);
  }

  /** Bytes that were handed on. */
  get passed(): number {
    return this.bytes;
  }

  override submit(connection: Connection): void {
    const { stream } = connection as Wire;
    let held = false;
    const onDrain = (): void => {
      if (!held) stream.resume();
    };
    const giveBack = borrowReads(stream, (piece, release) => {
      let flows = true;
      let bytes = 0;
      let writes = 1;
      const written = (): void => {
        writes -= 1;
        if (writes === 0) release();
      };
      const rest = this.frames.take(piece, (data) => {
        bytes += data.length;
        writes += 1;
        flows = this.sink.write(data, written);
      });
      this.bytes += bytes;
      // The last piece counts too: with small chunks it is a good part of all.
      const wait = this.onBytes(bytes);
      if (rest) {
        this.sink.off('drain', onDrain);
        giveBack(rest);
      } else {
        if (wait > 0) {
          held = true;
          setTimeout(() => {
            held = false;
            stream.resume();
          }, wait);
        }
        if (held || !flows) stream.pause();
      }
      written();
    });
    this.sink.on('drain', onDrain);
    super.submit(connection);
  }
}

/**
 * Carries rows from a COPY TO STDOUT on one server to a COPY FROM STDIN on the other, as they come from the socket:
 * with back-pressure, and in a few hundred kilobytes of memory however long a row is. Both must be of one format.
 * Throws PipeBroken, or the signal's reason, after which both sessions are closed.
 */
export async function pipe(
  source: Client,
  from: string,
  target: Client,
  into: string,
  { onBytes = () => 0, signal }: PipeOptions = {},
): Promise<Piped> {
  const aborted = new Promise<never>((_, reject) => {
    const abort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
  });
  aborted.catch(() => undefined);
  const input = target.query(new CopyIn(into));
  let output: CopyOut | undefined;
  try {
    const socket = await Promise.race([aborted, labelled('target', input.ready)]);
    output = source.query(new CopyOut(from, socket, onBytes));
    await Promise.race([
      aborted,
      labelled('source', output.done),
      labelled(
        'target',
        input.done.then(() => output?.done),
      ),
    ]);
    socket.write(COPY_DONE);
    const rows = await labelled('target', input.done);
    return { rows, bytes: output.passed };
  } catch (error) {
    for (const client of [source, target]) socketOf(client).destroy();
    throw error;
  }
}

const socketOf = (client: Client): Socket => (client as unknown as { connection: Wire }).connection.stream;

async function labelled<T>(end: 'source' | 'target', work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new PipeBroken(end, error);
  }
}
