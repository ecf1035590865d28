import { add } from './add';
import { assess } from './assess';
import { capture } from './capture';
import { cleanup } from './cleanup';
import { copy } from './copy';
import { cutover } from './cutover';
import { dump } from './dump';
import { finalize } from './finalize';
import type { Phase } from './phase';
import { plans } from './plans';
import { rollback } from './rollback';
import { ready } from './ready';
import { restore } from './restore';
import { schema } from './schema';
import { sync } from './sync';
import { verify } from './verify';
import { watch } from './watch';

/** The phases of a migration, in their order; rows take either dump and restore, or copy. */
export const PHASES: readonly Phase[] = [
  assess,
  schema,
  capture,
  dump,
  restore,
  copy,
  sync,
  add,
  verify,
  plans,
  ready,
  cutover,
  watch,
  rollback,
  finalize,
  cleanup,
];
