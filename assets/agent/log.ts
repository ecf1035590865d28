import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { destination, pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** Logs of this process by file: one that lives for months opens contexts again and again, and nothing closes a log. */
const open = new Map<string, Logger>();

/** The structured log of one command: a file of JSON lines below the state directory. */
export function openLog(stateDirectory: string, name: string): Logger {
  const directory = join(stateDirectory, 'log');
  const path = join(directory, `${name}.jsonl`);
  const known = open.get(path);
  if (known) return known;
  mkdirSync(directory, { recursive: true });
  const file = destination({ dest: path, sync: true, mode: 0o640 });
  // A volume that is full must not end the program: lines are kept until there is room, and work that needs some says so.
  file.on('error', () => undefined);
  const log = pino(
    { base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime, redact: ['password', '*.password'] },
    file,
  );
  open.set(path, log);
  return log;
}
