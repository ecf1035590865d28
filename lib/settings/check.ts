import { UsageError } from '../../assets/agent/errors';

/** Collects mistakes instead of stopping at the first, so that one run names them all. */
export class Mistakes {
  private readonly found: { readonly path: string; readonly text: string }[] = [];

  /** Notes one mistake: where, what stands there, what would be right. */
  add(path: string, value: unknown, right: string): void {
    const shown = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}`;
    this.found.push({ path, text: `${path || 'settings'} ${shown}; ${right}` });
  }

  /** Whether nothing was found at, above or below any of these paths: rules over several fields need sound fields. */
  none(...paths: readonly string[]): boolean {
    const related = (a: string, b: string): boolean =>
      b === '' || a === b || a.startsWith(`${b}.`) || a.startsWith(`${b}[`);
    return paths.every(
      (path) => !this.found.some((mistake) => related(mistake.path, path) || related(path, mistake.path)),
    );
  }

  /** Throws one UsageError that lists every mistake, if there is any. */
  throwIfAny(what: string): void {
    if (this.found.length === 0) return;
    const lines = this.found.map(({ text }) => `  ${text}`);
    throw new UsageError(`${what}: ${lines.length} mistake${lines.length === 1 ? '' : 's'}\n${lines.join('\n')}`);
  }
}

/** Checks one value and completes it; on a mistake it notes it and returns the value as it came. */
export type Rule<T> = (value: unknown, path: string, mistakes: Mistakes) => T;

const rule =
  <T>(right: string, isRight: (value: unknown) => boolean): Rule<T> =>
  (value, path, mistakes) => {
    if (!isRight(value)) mistakes.add(path, value, right);
    return value as T;
  };

/** A text of this shape; `right` says what it must be. */
export const text = <T extends string = string>(
  right: string,
  isRight: RegExp | ((value: string) => boolean),
): Rule<T> =>
  rule(
    right,
    (value) => typeof value === 'string' && (isRight instanceof RegExp ? isRight.test(value) : isRight(value)),
  );

/** A whole number of a unit, between two limits. */
export const integer = (unit: string, min: number, max: number): Rule<number> =>
  rule(`must be a whole number from ${min} to ${max} (${unit})`, (value) =>
    Number.isInteger(value) ? (value as number) >= min && (value as number) <= max : false,
  );

export const flag: Rule<boolean> = rule('must be true or false', (value) => typeof value === 'boolean');

/** One of a few values. */
export const oneOf = <T extends string | number>(...values: readonly T[]): Rule<T> =>
  rule(`must be ${values.map((value) => JSON.stringify(value)).join(' or ')}`, (value) => values.includes(value as T));

/** The word, or what the rule demands; `right` says both. */
export const wordOr =
  <Word extends string, T extends object>(word: Word, right: string, rule: Rule<T>): Rule<Word | T> =>
  (value, path, mistakes) => {
    if (value === word) return word;
    if (typeof value === 'object' && value !== null) return rule(value, path, mistakes);
    mistakes.add(path, value, `must be ${JSON.stringify(word)} or ${right}`);
    return value as T;
  };

/** A list with so many items. */
export const listOf =
  <T>(item: Rule<T>, { min = 0, max }: { readonly min?: number; readonly max: number }): Rule<readonly T[]> =>
  (value, path, mistakes) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      mistakes.add(path, value, `must be a list of ${min} to ${max} items`);
      return value as readonly T[];
    }
    return value.map((each, index) => item(each, `${path}[${index}]`, mistakes));
  };

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Named values, at most so many; `name` checks each key. */
export const mapOf =
  <T>(name: Rule<string>, item: Rule<T>, max: number): Rule<Readonly<Record<string, T>>> =>
  (value, path, mistakes) => {
    if (!isRecord(value) || Object.keys(value).length > max) {
      mistakes.add(path, value, `must be an object of at most ${max} names with their values`);
      return value as Record<string, T>;
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => {
        name(key, `${path} (the name)`, mistakes);
        return [key, item(each, `${path}.${key}`, mistakes)];
      }),
    );
  };

/** An object with exactly these fields; one that is not among them is a mistake, since it is most often misspelt. */
export const object =
  <T extends object>(fields: { readonly [Field in keyof T]-?: Rule<T[Field]> }): Rule<T> =>
  (value, path, mistakes) => {
    if (!isRecord(value)) {
      mistakes.add(path, value, 'must be an object');
      return value as T;
    }
    const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
    const names = Object.keys(fields);
    for (const name of Object.keys(value).filter((name) => !names.includes(name))) {
      mistakes.add(at(name), value[name], `no such setting; known here: ${names.join(', ')}`);
    }
    const entries = names.map((name) => [name, fields[name as keyof T](value[name], at(name), mistakes)] as const);
    return Object.fromEntries(entries.filter(([, each]) => each !== undefined)) as T;
  };

/** The rule, or this value where nothing is given. */
export const byDefault =
  <T>(value: unknown, rule: Rule<T>): Rule<T> =>
  (given, path, mistakes) =>
    rule(given === undefined ? value : given, path, mistakes);

/** The rule, or nothing. */
export const optional =
  <T>(rule: Rule<T>): Rule<T | undefined> =>
  (given, path, mistakes) =>
    given === undefined ? undefined : rule(given, path, mistakes);

/** An ARN of a service: the pattern covers what stands between `arn:<partition>:` and the resource. */
export const arn = (service: string, example: string): Rule<string> =>
  text(`must be an ARN such as "${example}"`, new RegExp(`^arn:aws[a-z-]*:${service}:\\S+$`));

/** ARN of a secret of AWS Secrets Manager. */
export const secretArn = arn(
  'secretsmanager:[a-z0-9-]+:\\d{12}',
  'arn:aws:secretsmanager:eu-west-1:123456789012:secret:name',
);
