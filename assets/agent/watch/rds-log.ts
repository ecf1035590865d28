import { DownloadDBLogFilePortionCommand, paginateDescribeDBLogFiles, type RDSClient } from '@aws-sdk/client-rds';
import type { LogTail } from './log-file';

/** Where reading goes on in one file. */
interface Place {
  readonly instance: string;
  readonly file: string;
  /** RDS's own mark; `0` is the beginning. */
  readonly marker: string;
}

/** Portions that one look takes of one file, 1 MB or 10,000 lines each. */
const MOST_PORTIONS = 4;

/** How long before the last look a file may have been written to be read; milliseconds. Our clock is not that of RDS. */
const OVERLAP_MS = 60_000;

/** The logs of RDS or Aurora, of every instance, over the hourly change of the file. */
export function rdsTail(rds: RDSClient, instances: readonly string[]): LogTail {
  const places = new Map<string, Place>();
  let since: number | undefined;
  return {
    next: async () => {
      const first = since === undefined;
      const now = Date.now();
      const lines: string[] = [];
      for (const instance of instances) {
        for (const file of await filesOf(rds, instance, since)) {
          const key = `${instance}/${file}`;
          const known = places.get(key);
          if (known === undefined && first) {
            places.set(key, { instance, file, marker: await endOf(rds, instance, file) });
            continue;
          }
          // A file that was not there at the first look is a new one.
          const read = await readOn(rds, known ?? { instance, file, marker: '0' });
          places.set(key, read.place);
          lines.push(...read.lines);
        }
      }
      since = now;
      return lines;
    },
  };
}

/** The files that were written since the last look; at the first one those of this minute, and the newest in any case. */
async function filesOf(rds: RDSClient, instance: string, since: number | undefined): Promise<string[]> {
  const found: { readonly name: string; readonly at: number }[] = [];
  const pages = paginateDescribeDBLogFiles(
    { client: rds },
    {
      DBInstanceIdentifier: instance,
      FilenameContains: 'postgresql',
      ...(since !== undefined && { FileLastWritten: since - OVERLAP_MS }),
    },
  );
  for await (const { DescribeDBLogFiles = [] } of pages)
    for (const { LogFileName: name, LastWritten: at = 0 } of DescribeDBLogFiles)
      if (name !== undefined) found.push({ name, at });
  const newest = Math.max(...found.map(({ at }) => at));
  const wanted = since === undefined ? found.filter(({ at }) => at === newest || at > Date.now() - OVERLAP_MS) : found;
  return wanted.toSorted((a, b) => a.at - b.at).map(({ name }) => name);
}

async function endOf(rds: RDSClient, instance: string, file: string): Promise<string> {
  // Without a marker RDS gives the last lines, and the mark behind them.
  const { Marker } = await rds.send(
    new DownloadDBLogFilePortionCommand({ DBInstanceIdentifier: instance, LogFileName: file, NumberOfLines: 1 }),
  );
  return Marker ?? '0';
}

async function readOn(rds: RDSClient, place: Place): Promise<{ readonly place: Place; readonly lines: string[] }> {
  const { instance, file } = place;
  const lines: string[] = [];
  let { marker } = place;
  for (let portion = 0; portion < MOST_PORTIONS; portion += 1) {
    const { LogFileData, Marker, AdditionalDataPending } = await rds.send(
      new DownloadDBLogFilePortionCommand({ DBInstanceIdentifier: instance, LogFileName: file, Marker: marker }),
    );
    lines.push(...(LogFileData ?? '').split('\n'));
    marker = Marker ?? marker;
    if (AdditionalDataPending !== true) break;
  }
  return { place: { instance, file, marker }, lines };
}
