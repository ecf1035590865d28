import { Readable } from 'node:stream';
import { CopyDecoder } from '../../../assets/agent/archive/copy-decoder';

const HEAD = `--\n-- PostgreSQL database dump\n--\n\\restrict x\nSET client_encoding = 'UTF8';\n\n`;
const STATEMENT = `COPY "my S"."t x" (id, "a ""q") FROM stdin`;
const FOOT = `\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n`;

/** Feeds a script in pieces of a size, and returns what came out. */
async function decode(script: string, piece: number): Promise<{ statement: string; text: string; rows: number }> {
  const bytes = Buffer.from(script);
  const pieces = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
    bytes.subarray(i * piece, (i + 1) * piece),
  );
  const decoder = new CopyDecoder();
  let statement = '';
  let rows = 0;
  decoder.on('statement', (text: string) => (statement = text));
  decoder.on('rows', (count: number) => (rows += count));
  const out: Buffer[] = [];
  for await (const chunk of Readable.from(pieces, { objectMode: false }).compose(decoder)) out.push(chunk as Buffer);
  return { statement, text: Buffer.concat(out).toString(), rows };
}

describe.each([1, 2, 3, 7, 64, 100_000])('a script that comes in pieces of %i bytes', (piece) => {
  it.each([
    ['no rows', '', 0],
    ['one row', '1\ta\n', 1],
    ['values that look like the end', '1\t\\\\.\n2\t.\n\\\\.\tx\n', 3],
    ['two-byte letters and empty values', 'ä\t\n\t\n\n', 3],
  ])('gives back %s', async (_what, data, rows) => {
    const script = `${HEAD}${STATEMENT};\n${data}${FOOT}`;
    expect(await decode(script, piece)).toEqual({ statement: STATEMENT, text: data, rows });
  });
});

it.each([
  ['among the rows', `${HEAD}${STATEMENT};\n1\ta\n2`],
  ['in the head', HEAD],
])('fails when the script ends %s', async (_what, script) => {
  await expect(decode(script, 5)).rejects.toThrow('the dump ends in the middle of the rows');
});
