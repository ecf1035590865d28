import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { runTool } from '../archive/client-tools';
import { requireCompression } from '../dump/compression';
import { dumpBytes, freeBytes, size } from '../dump/disk';
import { oneLine } from '../errors';
import { refusal, warning, type Check, type Finding } from './check';

/** The Bucardo release that this program is written for. */
const BUCARDO = /\b5\.6\.\d+/;

const tools: Check = {
  gate: 'programs on the host',
  run: async ({ context, sourceVersion }) => {
    const { config } = context;
    const findings: Finding[] = [];
    const found: Record<string, string> = {};
    for (const program of ['pg_dump', 'pg_restore']) {
      try {
        const version = (await runTool(config, program, ['--version'])).trim();
        found[program] = version;
        const major = Number(/(\d+)(?:\.|devel|beta|rc|\s|$)/.exec(version)?.[1]);
        const source = Math.floor(sourceVersion / 10000);
        if (!(major >= source))
          findings.push(
            refusal(`${version} cannot dump PostgreSQL ${source}; install client programs of ${source} or newer`),
          );
      } catch (error) {
        findings.push(refusal(oneLine(error)));
      }
    }
    if (config.copy.method === 'dump' && findings.length === 0) {
      await requireCompression(config).catch((error: unknown) => findings.push(refusal(oneLine(error))));
    }
    try {
      const { stdout } = await promisify(execFile)(config.host.bucardo, ['--no-bucardorc', '--version']);
      found['bucardo'] = stdout.trim();
      if (!BUCARDO.test(stdout))
        findings.push(refusal(`${config.host.bucardo} says "${stdout.trim()}"; install Bucardo 5.6`));
    } catch (error) {
      const cause = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not there' : oneLine(error);
      findings.push(refusal(`Bucardo cannot be run as ${config.host.bucardo}: ${cause}; install the package bucardo`));
    }
    return { query: '--version', result: found, findings };
  },
};

const disk: Check = {
  gate: 'room on the host',
  run: async ({ context, relations }) => {
    const { stateDirectory } = context.config.host;
    const needed = dumpBytes(relations, context.config.dump.compression);
    const free = await freeBytes(stateDirectory);
    const text = `the dump needs about ${size(needed)} in ${stateDirectory}, and ${size(free)} are free; enlarge that volume before dump`;
    return {
      query: `statfs ${stateDirectory}`,
      result: { needed, free },
      findings: free < needed ? [warning(text)] : [],
    };
  },
};

export const hostChecks: readonly Check[] = [tools, disk];
