import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

/** The machine in one line, and how busy it was before anything was measured: figures mean little without. */
export function describeMachine(): string {
  const processors = cpus();
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown system';
  const gigabytes = (totalmem() / 1024 ** 3).toFixed(0);
  const load = loadavg()[0] ?? 0;
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${gigabytes} GB, ${name}, Linux ${release()}, Node ${process.versions.node}; load at the start ${load.toFixed(1)}`;
}
