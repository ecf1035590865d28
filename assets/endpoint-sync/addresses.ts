/** Asks the name service for the IPv4 addresses of a host name. */
export type Resolve = (name: string) => Promise<readonly string[]>;

/** What a resolver says of a name that has no address, as opposed to one that it could not ask for. */
const NO_ADDRESS = ['ENOTFOUND', 'ENODATA'];

/**
 * Addresses of the servers that are readers at present: of all servers those that are not the writer's. A server whose
 * name has no address, since it is being made or replaced, is left out. Without any reader the writer stands in, so
 * that reads go on. Throws when the name service does not answer: a reader is not gone because of that.
 */
export async function readerAddresses(
  instances: readonly string[],
  writer: readonly string[],
  resolve: Resolve,
): Promise<readonly string[]> {
  const all = await Promise.all(
    instances.map(async (name) => {
      try {
        return await resolve(name);
      } catch (error) {
        if (NO_ADDRESS.includes((error as { code?: string }).code ?? '')) return [];
        throw error;
      }
    }),
  );
  const readers = [...new Set(all.flat())].filter((address) => !writer.includes(address));
  return readers.length > 0 ? readers : writer;
}
