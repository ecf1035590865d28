import { isOurEnd } from '../../../assets/agent/restore/copy-table';

describe('what pg_restore says', () => {
  it.each([
    'pg_restore failed: error: could not write to output file: Broken pipe',
    'pg_restore failed: error: could not write to output file: Connection reset by peer',
    'pg_restore was ended by SIGKILL',
  ])('when the target is gone is no damage of the dump: %s', (words) => {
    expect(isOurEnd(words)).toBe(true);
  });

  it.each([
    'pg_restore failed: error: could not read from input file: end of file',
    'pg_restore failed: error: could not uncompress data: invalid code lengths set',
    'pg_restore failed: error: could not open input file "3001.dat": No such file or directory',
  ])('when it cannot read the dump is: %s', (words) => {
    expect(isOurEnd(words)).toBe(false);
  });
});
