import { errorOf, isOfAMove, type LoggedError } from './error-class';
import { bad, ok, warn, type Check, type Finding, type LookAt } from './finding';
import { fileTail, type LogTail } from './log-file';
import { rdsTail } from './rds-log';

/** Errors are counted over so long; milliseconds. */
const WINDOW_MS = 60_000;

/** Kinds that one figure names. */
const NAMED = 5;

/**
 * Errors in the log of the target, by SQLSTATE. No text of the log leaves this function: there are statements and values
 * in it.
 */
export function logCheck(): Check {
  let tail: LogTail | undefined;
  let login: string | undefined;
  let recent: { readonly at: number; readonly error: LoggedError }[] = [];
  return {
    name: 'errors of the target',
    query: 'log of the target (rds:DownloadDBLogFilePortion, or its file): ERROR, FATAL and PANIC by SQLSTATE',
    unasked: 'warn',
    ask: async (at) => {
      tail ??= tailOf(at);
      if (!tail) return ok('not asked: nobody said where the log of the target is');
      login ??= (await at.context.endpoint('target')).user;
      const now = Date.now();
      const found = (await tail.next()).flatMap((line) => errorOf(line, login) ?? []);
      recent = [...recent, ...found.map((error) => ({ at: now, error }))].filter((one) => now - one.at < WINDOW_MS);
      return judge(
        recent.map(({ error }) => error),
        at.config.watch.errorsPerMinute,
      );
    },
  };
}

function tailOf({ config, aws }: LookAt): LogTail | undefined {
  if (config.target.logFile !== undefined) return fileTail(config.target.logFile);
  return aws && rdsTail(aws.rds, aws.instances);
}

function judge(errors: readonly LoggedError[], ordinary: number): Finding {
  if (errors.length === 0) return ok('no error in the last minute');
  const figure = `${errors.length} ${errors.length === 1 ? 'error' : 'errors'} in the last minute: ${byState(errors)}`;
  const panics = errors.filter(({ level }) => level === 'PANIC').length;
  if (panics > 0) return bad(figure, `${panics} of them a PANIC: the server broke`);
  if (errors.length > ordinary) return bad(figure, `more than the ${ordinary} that are ordinary`);
  const ofAMove = errors.filter(({ state }) => isOfAMove(state));
  return ofAMove.length === 0 ? ok(figure) : warn(figure, `a move makes such errors: ${byState(ofAMove)}`);
}

function byState(errors: readonly LoggedError[]): string {
  const counts = new Map<string, number>();
  for (const { level, state } of errors) {
    const kind = level === 'ERROR' ? state : `${level} ${state}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const kinds = [...counts].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${kind} (${count})`);
  return [...kinds.slice(0, NAMED), ...(kinds.length > NAMED ? [`${kinds.length - NAMED} kinds more`] : [])].join(', ');
}
