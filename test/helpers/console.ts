import { PassThrough } from 'node:stream';
import type { Console } from '../../lib/command-line';

/** A console that keeps what is written to it. */
export function recordedConsole(): { readonly console: Console; readonly said: () => string } {
  let said = '';
  const output = new PassThrough().on('data', (text: Buffer) => (said += text.toString()));
  return { console: { out: output, err: output }, said: () => said };
}
