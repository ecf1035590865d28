import { runTool } from '../archive/client-tools';
import type { AgentConfig } from '../config';
import { Failure, oneLine } from '../errors';

/** The levels that each method of pg_dump knows, from the quickest to the smallest. */
export const COMPRESSION_LEVELS = { gzip: [1, 9], lz4: [1, 12], zstd: [1, 22] } as const;

/** How pg_dump makes its files smaller. */
export type CompressionMethod = keyof typeof COMPRESSION_LEVELS;

/** As pg_dump writes it: `none`, or a method, with a level where its own default is not wanted, such as `zstd:3`. */
export type Compression = 'none' | CompressionMethod | `${CompressionMethod}:${number}`;

/** The first client programs that know more than gzip. */
const BEYOND_GZIP = 16;

/** The level of gzip itself; older programs must be told a number. */
const GZIP_LEVEL = '6';

/** The method alone. */
export const methodOf = (compression: Compression): 'none' | CompressionMethod =>
  compression.split(':', 1)[0] as 'none' | CompressionMethod;

/** The option of pg_dump; for what every version knows, in the form that every version understands. */
export function compressOption(compression: Compression): string {
  const method = methodOf(compression);
  if (method === 'none') return '--compress=0';
  return `--compress=${method === 'gzip' ? (compression.split(':')[1] ?? GZIP_LEVEL) : compression}`;
}

/**
 * Throws Failure when the host's client programs cannot compress so. Asks the programs only: pg_dump refuses a method that
 * it was built without before it connects, and where it is sent to here nobody listens.
 */
export async function requireCompression(config: AgentConfig): Promise<void> {
  const { compression } = config.dump;
  const method = methodOf(compression);
  if (method === 'none' || method === 'gzip') return;
  for (const program of ['pg_dump', 'pg_restore']) {
    const version = (await runTool(config, program, ['--version'])).trim();
    const major = Number(/\) (\d+)/.exec(version)?.[1]);
    if (!(major >= BEYOND_GZIP))
      throw cannot(
        compression,
        `${version} knows only gzip`,
        `install client programs of ${BEYOND_GZIP} or newer (host.clientTools)`,
      );
  }
  const trial = ['--format=custom', '--file=/dev/null', '--host=/dev/null', compressOption(compression)];
  const said = await runTool(config, 'pg_dump', trial).then(() => '', oneLine);
  if (/compress/i.test(said)) throw cannot(compression, said, `install client programs that are built with ${method}`);
}

const cannot = (compression: Compression, cause: string, wayOn: string): Failure =>
  new Failure(`agent.dump.compression "${compression}" cannot be had: ${cause}; ${wayOn}, or set "gzip:5"`);
