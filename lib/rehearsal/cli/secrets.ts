import { readFileSync } from 'node:fs';

/** Shortest run of letters and digits of a password that is looked for by itself: it survives any way of quoting. */
const LEAST_RUN = 8;
const HIDDEN = '(hidden)';

/** Keeps passwords out of what is shown and written, and counts what it had to hide: there should be nothing. */
export class Secrets {
  private readonly pattern: RegExp | undefined;
  private count = 0;

  constructor(passwords: readonly string[]) {
    const texts = passwords.flatMap((password) => [
      password,
      ...password.split(/[^A-Za-z0-9]+/).filter((run) => run.length >= LEAST_RUN),
    ]);
    const wanted = [...new Set(texts)].filter((text) => text !== '').sort((a, b) => b.length - a.length);
    if (wanted.length > 0) this.pattern = new RegExp(wanted.map(escape).join('|'), 'g');
  }

  /** Those of a libpq password file. */
  static ofFile(passwordFile: string): Secrets {
    const lines = readFileSync(passwordFile, 'utf8').split('\n');
    return new Secrets(lines.flatMap((line) => passwordOf(line)));
  }

  /** How many texts held a password so far. */
  get found(): number {
    return this.count;
  }

  hide(text: string): string {
    if (!this.pattern) return text;
    const hidden = text.replace(this.pattern, HIDDEN);
    if (hidden !== text) this.count += 1;
    return hidden;
  }

  /** The same value with every text in it, names of properties too, without passwords. */
  hideIn<T>(value: T): T {
    if (typeof value === 'string') return this.hide(value) as T;
    if (Array.isArray(value)) return value.map((item: unknown) => this.hideIn(item)) as T;
    if (typeof value !== 'object' || value === null || value instanceof Date) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [this.hide(name), this.hideIn(item)])) as T;
  }
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Fifth field of `host:port:database:user:password`, where a backslash keeps the next character. */
function passwordOf(line: string): string[] {
  const fields = /^(?:(?:\\.|[^\\:])*:){4}(.*)$/.exec(line);
  return fields?.[1] === undefined ? [] : [fields[1].replace(/\\(.)/g, '$1')];
}
