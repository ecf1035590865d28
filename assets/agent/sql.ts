import { escapeIdentifier, escapeLiteral } from 'pg';

/** Quotes one identifier, always: `Order` becomes `"Order"`. */
export const ident = (name: string): string => escapeIdentifier(name);

/** Quotes a schema-qualified name. */
export const qualified = (schema: string, name: string): string => `${ident(schema)}.${ident(name)}`;

/** Quotes a literal, for the statements that take no parameters (DDL, SET, COPY). */
export const literal = (value: string): string => escapeLiteral(value);

/** A list of quoted identifiers, joined by commas. */
export const identList = (names: readonly string[]): string => names.map(ident).join(', ');

/** Quotes, as `ident` does, what the columns `schema_name` and `relation_name` of a table of ours hold. */
export const QUOTED_NAME = `format('"%s"."%s"', replace(schema_name, '"', '""'), replace(relation_name, '"', '""'))`;

/** Marks SQL text, so that editors and the formatter know it; changes nothing but the indentation. */
export function sql(strings: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return String.raw({ raw: strings }, ...values)
    .replace(/\n\s+/g, '\n ')
    .trim();
}
