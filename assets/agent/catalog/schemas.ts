import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { ident } from '../sql';

/** Schemas that are ours on either end: Bucardo's capture objects, and Ibex's own. */
export const OWN_SCHEMAS = ['bucardo', 'ibex'] as const;

/**
 * SQL condition that holds for application schemas: not PostgreSQL's, not ours, not excluded by the settings. Its one
 * parameter is the list of `hiddenSchemas`.
 *
 * @param column the schema's name, as SQL
 * @param parameter the placeholder, as SQL
 */
export const isApplicationSchema = (column: string, parameter: string): string =>
  `(${column} !~ '^pg_' AND ${column} <> 'information_schema' AND ${column} <> ALL (${parameter}::text[]))`;

/** The value for the parameter of `isApplicationSchema`. */
export const hiddenSchemas = (config: Pick<AgentConfig, 'excludeSchemas'>): string[] => [
  ...OWN_SCHEMAS,
  ...(config.excludeSchemas ?? []),
];

/** Whether the settings leave out the schema of a relation, which is given by its quoted name. */
export const isExcluded = ({ excludeSchemas = [] }: Pick<AgentConfig, 'excludeSchemas'>, name: string): boolean =>
  excludeSchemas.some((schema) => name.startsWith(`${ident(schema)}.`));

/** Whether a database has a schema of this name. */
export const hasSchema = async (client: Client, schema: string): Promise<boolean> =>
  (await client.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [schema])).rowCount !== 0;
