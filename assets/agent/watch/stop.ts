import type { AgentConfig } from '../config';
import { Failure } from '../errors';
import { State } from '../state';
import { readRecord, STOP_FACT } from './record';

/** Ends the watch of the newest cutover before its time: at its next look, or before its first one. Says what it did. */
export async function stopWatch(config: AgentConfig): Promise<string> {
  const state = await State.open(config.host);
  try {
    const record = await readRecord(state);
    if (record.ended !== undefined) throw new Failure(`the watch has ended already: ${record.ended}`);
    await state.setFact(STOP_FACT, record.cutover);
    return `it ends at its next look, after ${Math.round(record.watchedSeconds)} of ${config.watch.seconds} s`;
  } finally {
    await state.close();
  }
}
