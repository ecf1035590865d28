import { InputError } from './errors';
import { isMap } from './document';

type Comparison = (left: unknown, right: unknown) => boolean;

const strings =
  (compare: (left: string, right: string) => boolean): Comparison =>
  (left, right) => {
    if (typeof left !== 'string' || typeof right !== 'string') {
      throw new InputError(`cannot compare ${JSON.stringify(left)} with ${JSON.stringify(right)} as strings`);
    }
    return compare(left, right);
  };

const numbers =
  (compare: (left: number, right: number) => boolean): Comparison =>
  (left, right) => {
    if (typeof left !== 'number' || typeof right !== 'number') {
      throw new InputError(`cannot compare ${JSON.stringify(left)} with ${JSON.stringify(right)} as numbers`);
    }
    return compare(left, right);
  };

/** The operators of aws:branch and of LoopCondition. */
const OPERATORS: Readonly<Record<string, Comparison>> = {
  StringEquals: strings((left, right) => left === right),
  EqualsIgnoreCase: strings((left, right) => left.toLowerCase() === right.toLowerCase()),
  StartsWith: strings((left, right) => left.startsWith(right)),
  EndsWith: strings((left, right) => left.endsWith(right)),
  Contains: strings((left, right) => left.includes(right)),
  NumericEquals: numbers((left, right) => left === right),
  NumericGreater: numbers((left, right) => left > right),
  NumericLesser: numbers((left, right) => left < right),
  NumericGreaterOrEquals: numbers((left, right) => left >= right),
  NumericLesserOrEquals: numbers((left, right) => left <= right),
  BooleanEquals: (left, right) => {
    if (typeof left !== 'boolean' || typeof right !== 'boolean') {
      throw new InputError(`cannot compare ${JSON.stringify(left)} with ${JSON.stringify(right)} as booleans`);
    }
    return left === right;
  },
};

/**
 * What is wrong with a condition, before anything runs.
 *
 * @param also keys that the place of the condition adds, such as `NextStep`
 */
export function conditionProblems(condition: unknown, also: readonly string[] = []): string[] {
  if (!isMap(condition)) return [`condition ${JSON.stringify(condition)} must be a map`];
  const keys = Object.keys(condition).filter((key) => !also.includes(key));
  if (keys.length === 1 && (keys[0] === 'And' || keys[0] === 'Or')) {
    const parts = condition[keys[0]];
    if (!Array.isArray(parts) || parts.length === 0) return [`${keys[0]} must be a list of conditions`];
    return parts.flatMap((part) => conditionProblems(part));
  }
  if (keys.length === 1 && keys[0] === 'Not') return conditionProblems(condition['Not']);
  const operators = keys.filter((key) => key !== 'Variable');
  if (!keys.includes('Variable')) return [`condition with ${operators.join(', ') || 'no key'} has no Variable`];
  if (operators.length !== 1) return [`condition needs one operator, not ${operators.join(', ') || 'none'}`];
  return operators.filter((key) => !Object.hasOwn(OPERATORS, key)).map((key) => `operator ${key} is not known`);
}

/**
 * True if the condition holds.
 *
 * @param resolve replaces the references in a value
 */
export function evaluate(condition: Record<string, unknown>, resolve: (value: unknown) => unknown): boolean {
  const { And, Or, Not, Variable } = condition;
  if (Array.isArray(And)) return And.every((part) => evaluate(part as Record<string, unknown>, resolve));
  if (Array.isArray(Or)) return Or.some((part) => evaluate(part as Record<string, unknown>, resolve));
  if (isMap(Not)) return !evaluate(Not, resolve);
  const name = Object.keys(condition).find((key) => Object.hasOwn(OPERATORS, key)) ?? '';
  const compare = OPERATORS[name];
  if (!compare) throw new InputError(`condition ${JSON.stringify(condition)} has no operator`);
  return compare(resolve(Variable), resolve(condition[name]));
}
