import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mend, mendedLibrary } from '../../../assets/agent/bucardo/mended-library';
import type { HostConfig } from '../../../assets/agent/config';

const runDirectory = mkdtempSync(join(tmpdir(), 'ibex-mended-'));
afterAll(() => rmSync(runDirectory, { recursive: true, force: true }));

const host = { runDirectory, bucardo: '/usr/bin/bucardo' } as HostConfig;

/** What perl finds, and how it writes a key of two columns into a DELETE. */
const ASK = String.raw`
  require Bucardo;
  print $INC{'Bucardo.pm'}, "\n";
  package Target; sub do { print "$_[1]\n"; 0 } sub pg_result { 0 } sub pg_ready { 1 }
  package main;
  my $self = bless { sqlprefix => '' }, 'Bucardo';
  { no warnings; *Bucardo::glog = sub {}; }
  my $target = { name => 't', dbtype => 'postgres', does_sql => 1, does_async => 1, dbh => bless({}, 'Target') };
  my $table = { safeschema => 's', safetable => 't', pkeycols => 'a,b', pkeycolsraw => 'a,b', pklist => '"a","b"',
    numpkcols => 2, newname => { sync => { t => 't' } } };
  $self->delete_rows({ "CORP\\al\\ice\0it's" => 1 }, $table, { name => 'sync' }, $target);
`;

test('perl takes the mended module, which writes a key with a backslash as it is', async () => {
  const library = await mendedLibrary(host);
  const told = execFileSync('perl', ['-e', ASK], {
    env: { PATH: '/usr/bin:/bin', PERL5LIB: library },
    encoding: 'utf8',
  });
  expect(told.split('\n')[0]).toBe(join(library, 'Bucardo.pm'));
  expect(told).toContain(String.raw`('CORP\al\ice','it''s')`);
});

test('nothing but the doubling is taken out of the installed module', async () => {
  const mended = readFileSync(join(await mendedLibrary(host), 'Bucardo.pm'), 'latin1');
  const installed = readFileSync('/usr/share/perl5/Bucardo.pm', 'latin1');
  expect(mended.length).toBe(installed.length - 2 * String.raw`s{\\}{\\\\};`.length);
  expect(mended.split('\n')).toHaveLength(installed.split('\n').length);
});

test.each([0, 1, 3])('a module that does it at %i places is not touched', (places) => {
  const module = `sub delete_rows {${String.raw`s{\\}{\\\\};`.repeat(places)}}`;
  expect(() => mend(module, '/usr/share/perl5/Bucardo.pm')).toThrow(
    `/usr/share/perl5/Bucardo.pm is not that of 5.6.0: it doubles backslashes in keys at ${places} places`,
  );
});
