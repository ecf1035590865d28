import { Transform, type TransformCallback } from 'node:stream';
import { Failure } from '../errors';

const HEADER = /^COPY [^]*? FROM stdin;\n/m;
const END = Buffer.from('\n\\.\n');

/** Longest head that pg_restore writes before a table's rows; bytes. */
const LONGEST_HEAD = 4 << 20;

/**
 * Takes the script that pg_restore writes for the rows of one table, and lets through the rows alone, as COPY's text
 * format. The COPY statement is announced by the event `statement` before the first row, the rows passed on by the
 * event `rows`. Fails when the script ends before the rows do. Keeps a few bytes in memory, whatever the table's size.
 */
export class CopyDecoder extends Transform {
  private state: 'head' | 'rows' | 'foot' = 'head';
  /** In the head all of it; among rows the last bytes, which may begin the end mark. */
  private held: Buffer = Buffer.alloc(0);

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      if (this.state === 'head') this.head(chunk);
      else if (this.state === 'rows') this.rows(chunk);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    done(this.state === 'foot' ? null : new Failure('the dump ends in the middle of the rows'));
  }

  private head(chunk: Buffer): void {
    this.held = Buffer.concat([this.held, chunk]);
    const text = this.held.toString('latin1');
    const match = HEADER.exec(text);
    if (!match) {
      if (this.held.length > LONGEST_HEAD) throw new Failure('the dump holds no COPY statement');
      return;
    }
    const start = match.index;
    const end = start + match[0].length;
    const statement = this.held.subarray(start, end).toString('utf8').trim().replace(/;$/, '');
    // The end mark is looked for with the line feed before it, so the head's own last byte goes along, unseen.
    const rest = this.held.subarray(end - 1);
    this.held = Buffer.alloc(0);
    this.state = 'rows';
    this.emit('statement', statement);
    this.skip = 1;
    this.rows(rest);
  }

  /** Bytes at the front that belong to the head. */
  private skip = 0;

  private rows(chunk: Buffer): void {
    const all = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    const at = all.indexOf(END);
    if (at >= 0) {
      this.pass(all.subarray(0, at + 1));
      this.state = 'foot';
      return;
    }
    const keep = Math.min(all.length, END.length - 1);
    this.pass(all.subarray(0, all.length - keep));
    this.held = all.subarray(all.length - keep);
  }

  private pass(bytes: Buffer): void {
    const skipped = Math.min(this.skip, bytes.length);
    this.skip -= skipped;
    if (bytes.length <= skipped) return;
    const rows = bytes.subarray(skipped);
    this.push(rows);
    this.emit('rows', lineFeeds(rows));
  }
}

/** Text format ends each row with a line feed and writes those within values as \\n. */
function lineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count += 1;
  return count;
}
