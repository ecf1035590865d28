/** Asks the name service for the IPv4 addresses of a host name. */
export type Resolve = (name: string) => Promise<readonly string[]>;

/**
 * Addresses of the servers that are readers at present: of all servers those that are not the writer's. A server whose
 * name has no address, since it is being made or replaced, is left out. Without any reader the writer stands in, so
 * that reads go on.
 */
export async function readerAddresses(
  instances: readonly string[],
  writer: readonly string[],
  resolve: Resolve,
): Promise<readonly string[]> {
  const found = await Promise.allSettled(instances.map((name) => resolve(name)));
  const all = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const readers = [...new Set(all)].filter((address) => !writer.includes(address));
  return readers.length > 0 ? readers : writer;
}
