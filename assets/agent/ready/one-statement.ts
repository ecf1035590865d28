import type { Client, QueryArrayConfig, QueryArrayResult } from 'pg';

/**
 * Runs a statement of somebody else's by the extended protocol, which takes one only: text that ends the transaction
 * around it and goes on is refused by the server.
 */
export function oneStatement(client: Client, text: string): Promise<QueryArrayResult<unknown[]>> {
  const query: QueryArrayConfig & { readonly queryMode: 'extended' } = {
    text,
    rowMode: 'array',
    queryMode: 'extended',
  };
  return client.query<unknown[]>(query);
}
