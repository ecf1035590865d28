import { isMap } from './document';

/** What one `{{ … }}` points to. */
export type Reference =
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'output'; readonly step: string; readonly name: string }
  | { readonly kind: 'variable' | 'global' | 'automation'; readonly name: string };

/** The system variables that are known here, by their prefix. */
export const SYSTEM_VARIABLES = { global: ['DATE', 'DATE_TIME', 'REGION'], automation: ['EXECUTION_ID'] } as const;

const REFERENCE = /\{\{\s*([^{}]*?)\s*\}\}/g;
const WHOLE = /^\{\{\s*([^{}]*?)\s*\}\}$/;

/** Reads the text between the braces; undefined where it has no form that Automation knows. */
export function parseReference(text: string): Reference | undefined {
  const prefixed = /^(variable|global|automation):([A-Za-z0-9_]+)$/.exec(text);
  if (prefixed) return { kind: prefixed[1] as 'variable' | 'global' | 'automation', name: prefixed[2] ?? '' };
  const [first = '', second, ...rest] = text.split('.');
  const isName = (name: string): boolean => /^[A-Za-z0-9_]+$/.test(name);
  if (rest.length > 0 || !isName(first)) return undefined;
  if (second === undefined) return { kind: 'parameter', name: first };
  return isName(second) ? { kind: 'output', step: first, name: second } : undefined;
}

/** The texts of all references in a value, however deep. */
export function referencesIn(value: unknown): string[] {
  if (typeof value === 'string') return [...value.matchAll(REFERENCE)].map((match) => match[1] ?? '');
  if (Array.isArray(value)) return value.flatMap(referencesIn);
  return isMap(value) ? Object.values(value).flatMap(referencesIn) : [];
}

/** True if the value is one reference and nothing else, so that its type shows only while the automation runs. */
export const isReference = (value: unknown): boolean => typeof value === 'string' && WHOLE.test(value);

/**
 * Replaces the references in a value. One that is the whole string keeps the type of what it stands for; within a
 * longer string, lists and maps become JSON. What was put in is not looked through again.
 */
export function interpolate(value: unknown, resolve: (reference: Reference) => unknown): unknown {
  if (typeof value === 'string') {
    const whole = WHOLE.exec(value);
    if (whole) return resolve(known(whole[1] ?? ''));
    return value.replace(REFERENCE, (_, text: string) => asText(resolve(known(text))));
  }
  if (Array.isArray(value)) return value.map((item) => interpolate(item, resolve));
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolate(item, resolve)]));
}

function known(text: string): Reference {
  const reference = parseReference(text);
  if (!reference) throw new Error(`{{ ${text} }} has no form that Automation knows`);
  return reference;
}

const asText = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
