import { openAws } from '../../../assets/agent/ready/aws-account';
import type { AgentConfig } from '../../../assets/agent/config';
import type { LogTail } from '../../../assets/agent/watch/log-file';
import { rdsTail } from '../../../assets/agent/watch/rds-log';
import { startAws, xmlRefusal, type AwsServer } from '../../helpers/aws-calls';

/** Files of the one instance, by name: lines, and the marks that RDS gives are their number. */
let files: Map<string, { lines: string[]; at: number }>;
let refuse = false;
let aws: AwsServer;
let tail: LogTail;

beforeEach(async () => {
  files = new Map([['error/postgresql.log.00', { lines: ['old 1', 'old 2'], at: Date.now() }]]);
  refuse = false;
  aws = await startAws(({ body }) => {
    const asked = new URLSearchParams(body);
    const action = asked.get('Action')!;
    if (refuse) return xmlRefusal('AccessDenied', 403);
    return { text: answer(action, action === 'DescribeDBLogFiles' ? list(asked) : portion(asked)) };
  });
  tail = rdsTail(
    openAws({ aws: { region: 'eu-west-1', instances: ['shop-1'], alarmPrefixes: [] } } as unknown as AgentConfig)!.rds,
    ['shop-1'],
  );
});
afterEach(() => aws.close());

const answer = (action: string, text: string): string =>
  `<${action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><${action}Result>${text}</${action}Result></${action}Response>`;

function list(asked: URLSearchParams): string {
  const since = Number(asked.get('FileLastWritten') ?? 0);
  const found = [...files].filter(([, { at }]) => at >= since);
  const one = ([name, { at }]: (typeof found)[number]): string =>
    `<DescribeDBLogFilesDetails><LogFileName>${name}</LogFileName><LastWritten>${at}</LastWritten></DescribeDBLogFilesDetails>`;
  return `<DescribeDBLogFiles>${found.map(one).join('')}</DescribeDBLogFiles>`;
}

/** Two lines a portion, so that a busy log takes several. */
function portion(asked: URLSearchParams): string {
  const { lines } = files.get(asked.get('LogFileName')!)!;
  const from = asked.has('Marker') ? Number(asked.get('Marker')) : lines.length;
  const part = lines.slice(from, from + 2);
  const to = from + part.length;
  return `<LogFileData>${part.join('\n')}</LogFileData><Marker>${to}</Marker><AdditionalDataPending>${to < lines.length}</AdditionalDataPending>`;
}

const read = async (): Promise<string[]> => (await tail.next()).filter((line) => line !== '');

const append = (file: string, ...lines: string[]): void => {
  files.set(file, { lines: [...(files.get(file)?.lines ?? []), ...lines], at: Date.now() });
};

test('gives what was written since the last asking, in as many portions as it takes, each line once', async () => {
  expect(await read()).toEqual([]);
  append('error/postgresql.log.00', 'a', 'b', 'c');
  expect(await read()).toEqual(['a', 'b', 'c']);
  expect(await read()).toEqual([]);
});

test('goes on in the next file of the hour, with its first line', async () => {
  await read();
  append('error/postgresql.log.00', 'a');
  append('error/postgresql.log.01', 'b');
  expect((await read()).sort()).toEqual(['a', 'b']);
  append('error/postgresql.log.01', 'c');
  expect(await read()).toEqual(['c']);
});

test('an asking that failed loses nothing, and counts nothing that is older', async () => {
  refuse = true;
  await expect(read()).rejects.toThrow();
  refuse = false;
  expect(await read()).toEqual([]);
  append('error/postgresql.log.00', 'a');
  refuse = true;
  await expect(read()).rejects.toThrow();
  refuse = false;
  expect(await read()).toEqual(['a']);
});
