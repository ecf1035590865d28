import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { END_SETTINGS } from '../rehearsal/lab/source';

/** The machine in one line, and how busy it was before anything was measured: figures mean little without. */
export function describeMachine(): string {
  const processors = cpus();
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown system';
  const gigabytes = (totalmem() / 1024 ** 3).toFixed(0);
  const load = loadavg()[0] ?? 0;
  const files = spawnSync('df', ['--output=fstype', tmpdir()], { encoding: 'utf8' }).stdout.split('\n')[1];
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${gigabytes} GB, ${name}, Linux ${release()}, Node ${process.versions.node}, servers' files on ${files ?? 'an unknown file system'}; load at the start ${load.toFixed(1)}`;
}

/** What a program says of its version; undefined when it cannot be run. */
function versionOf(program: string): string | undefined {
  const { stdout, stderr, status } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return status === 0 ? /version v?(\S+)/.exec(`${stdout}${stderr}`)?.[1] : undefined;
}

/** Servers and peers in one line. @param majors of the two ends */
export function describeTools(majors: { readonly source: number; readonly target: number }): string {
  const peers = ['pgcopydb', 'bucardo'].map((name) => `${name} ${versionOf(name) ?? '(not installed)'}`);
  const settings = Object.entries(END_SETTINGS).map(([name, value]) => `${name} ${value}`);
  return `PostgreSQL ${majors.source} to ${majors.target}, all on this machine and durable (${settings.join(', ')}); pg_dump, pg_restore and psql of ${majors.source}, ${peers.join(', ')}`;
}
