import { CopyFrames } from '../../../assets/agent/copy/frames';

const message = (type: string, body: string): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeUInt32BE(Buffer.byteLength(body) + 4, 1);
  return Buffer.concat([head, Buffer.from(body)]);
};

const ROWS = [message('d', 'one\n'), message('d', ''), message('d', 'a longer row\n')];
const SAID = Buffer.concat([
  message('H', 'copy begins'),
  ROWS[0] as Buffer,
  message('N', 'a notice'),
  message('S', 'a parameter'),
  ROWS[1] as Buffer,
  ROWS[2] as Buffer,
]);
const END = Buffer.concat([message('c', ''), message('C', 'COPY 3\0'), message('Z', 'I')]);

/** What comes out when the bytes arrive in pieces of this length, each in the memory of the one before. */
function carried(bytes: Buffer, pieceLength: number): { passed: Buffer; rest: Buffer | undefined } {
  const frames = new CopyFrames();
  const passed: Buffer[] = [];
  const memory = Buffer.alloc(pieceLength);
  for (let at = 0; at < bytes.length; at += pieceLength) {
    const piece = memory.subarray(0, bytes.copy(memory, 0, at, at + pieceLength));
    const rest = frames.take(piece, (data) => passed.push(Buffer.from(data)));
    if (rest) {
      return { passed: Buffer.concat(passed), rest: Buffer.concat([rest, bytes.subarray(at + pieceLength)]) };
    }
    memory.fill(0);
  }
  return { passed: Buffer.concat(passed), rest: undefined };
}

describe('the messages of a COPY', () => {
  const lengths = Array.from({ length: SAID.length + END.length }, (_, i) => i + 1);

  it('are handed on whole and in order, notices left out, wherever the socket cuts them', () => {
    for (const length of lengths) {
      const { passed, rest } = carried(Buffer.concat([SAID, END]), length);
      expect(passed).toEqual(Buffer.concat(ROWS));
      expect(rest).toEqual(END);
    }
  });

  it('are handed on as they come while the end is not there', () => {
    for (const length of lengths) {
      expect(carried(SAID, length)).toEqual({ passed: Buffer.concat(ROWS), rest: undefined });
    }
  });

  it('end at an error, which is left to whoever reads errors', () => {
    const error = message('E', 'SERROR\0\0');
    expect(carried(Buffer.concat([SAID, error]), 7).rest).toEqual(error);
  });

  it('are not kept: of a long row each piece goes out as it came', () => {
    const frames = new CopyFrames();
    const long = message('d', 'x'.repeat(1_000_000));
    const sizes: number[] = [];
    for (let at = 0; at < long.length; at += 65_536) {
      frames.take(long.subarray(at, at + 65_536), (data) => sizes.push(data.length));
    }
    expect(Math.max(...sizes)).toBe(65_536);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(long.length);
  });
});
