import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { destination, pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** Opens the structured log of one command: a file of JSON lines below the state directory. */
export function openLog(stateDirectory: string, name: string): Logger {
  const directory = join(stateDirectory, 'log');
  mkdirSync(directory, { recursive: true });
  const file = destination({ dest: join(directory, `${name}.jsonl`), sync: true, mode: 0o640 });
  // A volume that is full must not end the program: lines are kept until there is room, and work that needs some says so.
  file.on('error', () => undefined);
  return pino(
    { base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime, redact: ['password', '*.password'] },
    file,
  );
}
