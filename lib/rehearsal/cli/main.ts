import { runCommand, type Console } from '../../command-line';
import { parseOptions } from './options';
import { prepareReport } from './report-files';
import { rehearse } from './rehearse';

/** The command `rehearse`. @param args without node and program @returns the exit status */
export const main = (args: readonly string[], console: Console): Promise<number> =>
  runCommand('rehearse', console, async (interrupted) => {
    const options = parseOptions(args, undefined, (text) => void console.out.write(text));
    if (!options) return 0;
    if (options.report !== undefined) prepareReport(options.report);
    return rehearse(options, console, interrupted());
  });
