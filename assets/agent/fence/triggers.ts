import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { isGone } from '../catalog/gone';
import { oneLine } from '../errors';
import {
  ensureFenceSchema,
  fenceFunction,
  fenceTrigger,
  readFenceable,
  readFenceState,
  unfenceTrigger,
  type FencedTable,
} from './objects';
import { isBusy } from './transaction';

/** Puts the trigger up on those of the tables that lack it. */
export async function putUp(client: Client, tables: readonly FencedTable[]): Promise<void> {
  for (const table of tables) if (!table.fenced) await client.query(fenceTrigger(table));
}

/** How long putting up, or taking off, one trigger may queue the clients of its table; milliseconds. */
const ARM_TIMEOUT_MS = 200;

/** Rounds over those tables that were busy; the pause puts up what is left. */
const ARM_ROUNDS = 5;

/**
 * Puts the triggers up before writes are stopped, one table at a time and letting everything through, so that the fence
 * can stop all writes by its function alone. Safe to repeat, and to leave behind. Returns the tables that were busy.
 */
export async function armFence(source: Client): Promise<string[]> {
  await source.query('SET client_min_messages = warning');
  await ensureFenceSchema(source);
  if ((await readFenceState(source)) === undefined) await source.query(fenceFunction({ kind: 'open' }));
  await source.query(`SET lock_timeout = ${ARM_TIMEOUT_MS}`);
  try {
    for (let round = 1; ; round += 1) {
      const open = (await readFenceable(source)).filter(({ fenced }) => !fenced);
      if (open.length === 0 || round > ARM_ROUNDS) return open.map((table) => table.sql);
      for (const table of open) await source.query(fenceTrigger(table)).catch(throwUnlessBusy);
      await sleep(50);
    }
  } finally {
    await source.query('SET lock_timeout = 0');
  }
}

function throwUnlessBusy(error: unknown): void {
  if (!isBusy(error)) throw error;
}

/** Rounds over those tables from which a fence could not be taken. */
const REMOVE_ROUNDS = 5;

/**
 * Takes the fence off, table by table. For each one the server shuts out readers as well, so each try waits for its lock
 * no longer than clients may be kept. Returns what is left, each with its cause; such a fence lets through as before.
 */
export async function removeFence(client: Client): Promise<string[]> {
  await client.query(`SET lock_timeout = ${ARM_TIMEOUT_MS}`);
  try {
    for (let round = 1; ; round += 1) {
      const left: string[] = [];
      let busy = false;
      for (const table of await readFenceable(client)) {
        if (!table.fenced && !table.altered) continue;
        await client.query(unfenceTrigger(table)).catch((error: unknown) => {
          // One that was renamed is read again.
          busy ||= isBusy(error) || isGone(error);
          if (isGone(error)) return;
          left.push(`${table.sql} (${isBusy(error) ? 'busy' : oneLine(error)})`);
        });
      }
      if (!busy || round === REMOVE_ROUNDS) return left;
      await sleep(50);
    }
  } finally {
    await client.query('SET lock_timeout = 0');
  }
}
