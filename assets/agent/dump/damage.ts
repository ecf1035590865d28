import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context';
import { Failure } from '../errors';

/** Fact, in the state, of the bytes of each file of the dump, by its name, as pg_dump has left it. */
const FILES_FACT = 'dump.files';

/** Fact, in the state, of what a restore has found wrong within the dump; empty for nothing. */
const DAMAGE_FACT = 'dump.damage';

const WAY_ON = 'start dump again, which takes it anew, then restore; what is restored is kept';

/** The dump cannot be read: only another one helps. */
export class DumpDamaged extends Failure {
  /** @param what is wrong, in one line without the way on */
  constructor(readonly what: string) {
    super(`${what}; ${WAY_ON}`);
  }
}

/** To be called when pg_dump is done, before anybody may take the dump for complete. */
export async function rememberFiles({ state }: Context, directory: string): Promise<void> {
  await state.setFact(FILES_FACT, bytesOf(directory));
  await state.setFact(DAMAGE_FACT, '');
}

/** Lets the next run of dump begin anew. */
export async function rememberDamage({ state }: Context, { what }: DumpDamaged): Promise<void> {
  await state.setFact(DAMAGE_FACT, what);
}

/** What is wrong with the dump, as far as can be told without reading it; undefined when it is whole. */
export async function damageOf({ state }: Context, directory: string): Promise<string | undefined> {
  const known = await state.fact<string>(DAMAGE_FACT);
  if (known) return known;
  if (!existsSync(directory)) return `the dump ${directory} is gone`;
  const files = (await state.fact<Record<string, number>>(FILES_FACT)) ?? {};
  const found = bytesOf(directory);
  for (const [name, bytes] of Object.entries(files)) {
    if (found[name] === bytes) continue;
    const is = found[name] === undefined ? 'is gone' : `has ${found[name]} bytes instead of ${bytes}`;
    return `the dump ${directory} is damaged: its file ${name} ${is}`;
  }
  return undefined;
}

const bytesOf = (directory: string): Record<string, number> =>
  Object.fromEntries(readdirSync(directory).map((name) => [name, statSync(join(directory, name)).size]));
