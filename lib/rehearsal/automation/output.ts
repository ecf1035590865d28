import { LIMITS } from './limits';

const ERROR_TITLE = '\n----------ERROR-------\n';
const OUTPUT_CUT = '\n---Output truncated---';
const ERROR_CUT = '\n---Error truncated----';

/**
 * The output of a command as a step sees it, put together the way the agent does: standard error follows standard
 * output under a title, and what is too long is cut with a note in the place of the cut.
 */
export function commandOutput(stdout: string, stderr: string, capacity: number = LIMITS.commandOutput): string {
  const title = stderr.length > 0 ? ERROR_TITLE : '';
  const space = capacity - title.length;
  if (stdout.length + stderr.length < space) return stdout + title + stderr;
  if (stdout.length > space / 2 && stderr.length > space / 2) {
    const half = Math.floor((space - ERROR_CUT.length - OUTPUT_CUT.length) / 2);
    return stdout.slice(0, half) + OUTPUT_CUT + title + stderr.slice(0, half) + ERROR_CUT;
  }
  if (stdout.length < space / 2) {
    return stdout + title + stderr.slice(0, space - ERROR_CUT.length - stdout.length) + ERROR_CUT;
  }
  return stdout.slice(0, space - OUTPUT_CUT.length - stderr.length) + OUTPUT_CUT + title + stderr;
}
