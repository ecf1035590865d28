import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { detectDump } from '../../../lib/rehearsal/lab/dump-format';

describe('the format of a dump', () => {
  let directory: string;
  beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'ibex-test-'))));
  afterAll(() => rmSync(directory, { recursive: true }));
  const file = (name: string, content: string | Buffer): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const archive = Buffer.from('PGDMP\x01\x0e\x00rest', 'latin1');

  it('is told by its content, not by its name', () => {
    expect(detectDump(file('a.tar', '--\n-- PostgreSQL database dump\n--\n'))).toEqual({ kind: 'plain' });
    expect(detectDump(file('b.sql', 'CREATE TABLE t (id int);'))).toEqual({ kind: 'plain' });
    expect(detectDump(file('c.sql', archive))).toEqual({ kind: 'custom', version: '1.14' });
    expect(detectDump(file('d.sql', Buffer.concat([Buffer.from('toc.dat'.padEnd(512, '\0')), archive])))).toEqual({
      kind: 'tar',
      version: '1.14',
    });
    const path = join(directory, 'e');
    mkdirSync(path);
    writeFileSync(join(path, 'toc.dat'), archive);
    expect(detectDump(path)).toEqual({ kind: 'directory', version: '1.14' });
  });

  it.each([
    ['does not exist', () => join(directory, 'absent'), /absent does not exist; give the path/],
    ['is empty', () => file('empty', ''), /empty is empty; make it again/],
    ['is compressed', () => file('z.sql.gz', gzipSync('SELECT 1')), /is compressed \(gzip\); decompress it first/],
    [
      'is something else',
      () => file('image', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2])),
      /neither SQL text nor an archive/,
    ],
    ['is a directory without contents', () => directory, /is a directory without toc\.dat/],
  ])('is refused in one line when the file %s', (_what, path, message) => {
    expect(() => detectDump(path())).toThrow(message);
  });
});
