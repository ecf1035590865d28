import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../../assets/agent/errors';
import { parseOptions, type RehearseOptions } from '../../../lib/rehearsal/cli/options';

describe('the options of a rehearsal', () => {
  let directory: string;
  const parse = (...args: string[]): RehearseOptions | undefined => parseOptions(args, directory, () => undefined);

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-options-'));
    writeFileSync(
      join(directory, 'shop.sql'),
      '-- PostgreSQL database dump\nCREATE TABLE shop (id int PRIMARY KEY);\n',
    );
    writeFileSync(join(directory, 'empty.sql'), '');
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  test('have defaults: 11 to 17, small, with nothing written', () => {
    expect(parse()).toEqual({
      migration: 'heroku-to-aurora',
      sourceVersion: 11,
      targetVersion: 17,
      scale: 1,
      rate: 100,
      connections: 8,
      copy: 'dump',
      switch: 'address',
      rollback: false,
      between: 3,
      keep: false,
      json: false,
    });
  });

  test('are taken as given', () => {
    const args =
      '--source-version 10 --target-version 15 --scale 10 --rate 200 --connections 4 --rollback --between 60 --keep --json';
    expect(parse(...args.split(' '))).toMatchObject({
      sourceVersion: 10,
      targetVersion: 15,
      scale: 10,
      rate: 200,
      connections: 4,
      rollback: true,
      between: 60,
      keep: true,
      json: true,
    });
  });

  test('take paths from where the person stands', () => {
    expect(parse('--dump', 'shop.sql', '--report', 'out')).toMatchObject({
      dump: join(directory, 'shop.sql'),
      report: join(directory, 'out'),
    });
  });

  test('show the help, which names each of them', () => {
    let help = '';
    expect(parseOptions(['--help'], directory, (text) => (help += text))).toBeUndefined();
    for (const name of 'source-version target-version scale rate connections dump report rollback between keep json migration'.split(
      ' ',
    )) {
      expect(help).toContain(`--${name}`);
    }
  });

  test.each([
    [['--bogus'], `unknown option '--bogus'; "npm run rehearse -- --help" lists the options`],
    [['shop.sql'], 'argument "shop.sql" belongs to no option; "npm run rehearse -- --help" lists the options'],
    [['--source-version', '9'], '--source-version "9": must be a whole number from 10 to 17'],
    [['--source-version', 'eleven'], '--source-version "eleven": must be a whole number from 10 to 17'],
    [['--target-version', '19'], '--target-version "19": must be a whole number from 15 to 18'],
    [
      ['--source-version', '17', '--target-version', '15'],
      "--target-version 15 is older than the source's 17; migrations go forward only",
    ],
    [['--scale', '0'], '--scale "0": must be a whole number from 1 to 10,000'],
    [['--scale', '1.5'], '--scale "1.5": must be a whole number from 1 to 10,000'],
    [['--rate', '-5'], '--rate "-5": must be a whole number from 1 to 100,000'],
    [['--rate', '1e3'], '--rate "1e3": must be a whole number from 1 to 100,000'],
    [['--connections', '101'], '--connections "101": must be a whole number from 1 to 100'],
    [['--migration', 'nowhere'], expect.stringMatching(/^no migration "nowhere" in migrations\/; there are: .*heroku/)],
    [['--dump', ''], '--dump is empty; give a path'],
    [['--dump', 'absent.sql'], expect.stringMatching(/absent\.sql does not exist; give the path of a dump/)],
    [['--dump', 'empty.sql'], expect.stringMatching(/empty\.sql is empty; make it again with pg_dump$/)],
    [['--report', 'shop.sql'], '--report shop.sql is not a directory; give one'],
    [['--report', 'shop.sql/out'], '--report shop.sql/out is not a directory; give one'],
  ])('refuse %j', (args, message) => {
    const refusal = refusalOf(() => parse(...args));
    expect(refusal).toBeInstanceOf(UsageError);
    expect(refusal.message).toEqual(message);
    expect(refusal.message).not.toContain('\n');
  });

  test('refuse an option without its value', () => {
    expect(refusalOf(() => parse('--rate')).message).toMatch(/^option '--rate <n>' argument missing; /);
  });
});

function refusalOf(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was refused');
}
