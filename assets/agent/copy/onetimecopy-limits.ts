import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { AgentConfig } from '../config';
import { size } from '../dump/disk';
import { Failure } from '../errors';

const WAY_ON = 'set agent.copy.method "stream" or "dump"';

/** Why Bucardo's onetimecopy cannot copy these relations, one line each. */
export async function onetimecopyRefusals(
  { copy: { onetimecopyMegabytes } }: Pick<AgentConfig, 'copy'>,
  source: Client,
  relations: readonly Relation[],
): Promise<string[]> {
  const bytes = relations.reduce((sum, relation) => sum + relation.bytes, 0);
  const tooLarge =
    bytes > onetimecopyMegabytes * 1_000_000
      ? [
          `the tables have ${size(bytes)}, and onetimecopy, which holds one snapshot on the source for all of them, copies up to agent.copy.onetimecopyMegabytes ${onetimecopyMegabytes}; ${WAY_ON}`,
        ]
      : [];
  const { rows } = await source.query(
    `SELECT DISTINCT p.oid::int8 AS oid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
     WHERE p.relkind = 'r' AND p.oid = ANY ($1::oid[])`,
    [relations.map(({ oid }) => oid)],
  );
  const parents = new Set((rows as { oid: string }[]).map(({ oid }) => Number(oid)));
  return [
    ...tooLarge,
    ...relations
      .filter(({ oid }) => parents.has(oid))
      .map((each) => `${each.sql} has tables that inherit from it, which onetimecopy empties with it; ${WAY_ON}`),
  ];
}

/** Throws Failure that names what onetimecopy cannot copy. */
export async function requireForOnetimecopy(
  config: AgentConfig,
  source: Client,
  relations: readonly Relation[],
): Promise<void> {
  const refusals = await onetimecopyRefusals(config, source, relations);
  if (refusals.length > 0) throw new Failure(refusals.join('; '));
}
