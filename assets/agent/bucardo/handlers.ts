import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import type { SyncHandler } from '../config';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';

const execute = promisify(execFile);

/** How long Perl may take to compile one file; milliseconds. */
const COMPILE_TIMEOUT_MS = 10_000;

/** A handler whose Perl has been read, and compiles. */
export interface CheckedHandler extends SyncHandler {
  readonly code: string;
}

/**
 * Reads the handlers of the settings and lets Perl compile each as Bucardo will, as the body of a subroutine. Throws
 * Failure that names the file that is missing, does not compile, or is for a sync that is not there.
 */
export async function readHandlers(
  handlers: readonly SyncHandler[],
  syncs: readonly string[],
): Promise<CheckedHandler[]> {
  const checked: CheckedHandler[] = [];
  for (const handler of handlers) {
    const unknown = handler.syncs?.find((sync) => !syncs.includes(sync));
    if (unknown !== undefined) {
      throw new Failure(
        `sync.handlers: ${handler.file} is for sync ${unknown}, and there are ${syncs.join(', ')}; correct its syncs`,
      );
    }
    checked.push({ ...handler, code: await compiled(handler.file) });
  }
  return checked;
}

async function compiled(file: string): Promise<string> {
  let code: string;
  try {
    code = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure(
      `sync.handlers: ${file} cannot be read (${(error as NodeJS.ErrnoException).code}); put it there, or correct the setting`,
    );
  }
  const directory = mkdtempSync(join(tmpdir(), 'ibex-perl-'));
  try {
    const program = join(directory, 'handler.pl');
    writeFileSync(program, `my $handler = sub {\n#line 1 "${file.replaceAll('"', '')}"\n${code}\n};\n1;\n`);
    await execute('perl', ['-c', program], { timeout: COMPILE_TIMEOUT_MS });
    return code;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const words = oneLine((stderr ?? '').trim() || error).replace(`${directory}/`, '');
    throw new Failure(`sync.handlers: ${file} does not compile: ${words.slice(0, 400)}; correct it`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Says of handlers for conflicts, in the log and as evidence, that nothing will call them: Bucardo calls them for a key that
 * two sources have changed, and each of our syncs has one. Returns their files.
 */
export async function tellIdleHandlers(context: Pick<Context, 'config' | 'log' | 'evidence'>): Promise<string[]> {
  const { handlers } = context.config.sync;
  const files = handlers.filter((handler) => handler.when === 'conflict').map(({ file }) => file);
  if (files.length === 0) return files;
  const figure = `${files.join(', ')} will never run: a sync of one direction has no conflicts`;
  const todo = `agent.sync.handlers has when 'conflict'; for rows that the target refuses, set 'exception', else leave them out`;
  context.log.warn({ files, todo }, figure);
  await context.evidence('handlers that can run', false, 'agent.sync.handlers', { verdict: 'warn', figure, todo });
  return files;
}

/** Tells Bucardo of the handlers, each for its syncs, in the order of the settings. */
export async function addHandlers(
  client: Client,
  handlers: readonly CheckedHandler[],
  syncs: readonly string[],
): Promise<void> {
  for (const [index, handler] of handlers.entries()) {
    const { rows } = await client.query(
      `INSERT INTO bucardo.customcode (name, about, whenrun, getdbh, src_code, priority)
       VALUES ($1, $2, $3, false, $4, $5) RETURNING id`,
      [`ibex_handler_${index + 1}`, handler.file, handler.when, handler.code, index],
    );
    const { id } = rows[0] as { id: number };
    for (const sync of handler.syncs ?? syncs) {
      await client.query('INSERT INTO bucardo.customcode_map (code, sync, priority) VALUES ($1, $2, $3)', [
        id,
        sync,
        index,
      ]);
    }
  }
}
