import { BUCARDO_LOGIN } from '../bucardo/names';
import { sql } from '../sql';
import { askFor, refusal, type Check, type Finding } from './check';

/** Row security hides rows from a login that neither owns the table nor bypasses it. */
const ROW_SECURITY = sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relforcerowsecurity AS forced
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles me
  WHERE me.rolname = current_user AND NOT me.rolsuper AND NOT me.rolbypassrls AND c.relrowsecurity
    AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[])
    AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) ORDER BY 1`;

const hidden = askFor<{ name: string }>('row security', 'source', ROW_SECURITY, (row) =>
  refusal(`row security of ${row.name} hides rows from the source login; give it BYPASSRLS`),
);

/** On the target our login is a member of every owner, which is enough unless row security is forced on owners too. */
const FORCED = sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relrowsecurity AND c.relforcerowsecurity AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[]) ORDER BY 1`;

/** First major on which a login that bypasses row security itself may let another one do so. */
const HANDED_ON = 160_000;

/** What lets Bucardo's login, which the target's login makes or has made, bypass row security. */
const BYPASSES = sql`
  SELECT me.rolname AS login, me.rolsuper OR me.rolbypassrls AS bypasses,
    me.rolsuper OR coalesce(b.rolbypassrls, false)
      OR (me.rolbypassrls AND current_setting('server_version_num')::int >= ${HANDED_ON}) AS "bucardoBypasses"
  FROM pg_roles me LEFT JOIN pg_roles b ON b.rolname = $1 WHERE me.rolname = current_user`;

interface Bypasses {
  readonly login: string;
  readonly bypasses: boolean;
  readonly bucardoBypasses: boolean;
}

const bypassesOf = async ({ target }: Parameters<Check['run']>[0]): Promise<Bypasses> =>
  (await target.query(BYPASSES, [BUCARDO_LOGIN])).rows[0] as Bypasses;

/** What a person can do to let Bucardo's login pass. */
const letPass = (version: number, login: string): string =>
  version >= HANDED_ON
    ? `give "${login}" BYPASSRLS`
    : `have a superuser there make a role ${BUCARDO_LOGIN} with BYPASSRLS`;

const forced: Check = {
  gate: 'forced row security',
  run: async (ends) => {
    const has = await bypassesOf(ends);
    if (has.bypasses && has.bucardoBypasses) return { query: BYPASSES, result: has, findings: [] };
    return askFor<{ name: string }>('', 'source', FORCED, ({ name }) =>
      has.bypasses
        ? refusal(
            `row security of ${name} is forced on its owner, so that Bucardo could not write it on the target; ${letPass(ends.targetVersion, has.login)}`,
          )
        : refusal(
            `row security of ${name} is forced on its owner, so that the target login could not write it; give that BYPASSRLS`,
          ),
    ).run(ends);
  },
};

const GUARDED = sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_get_userbyid(c.relowner) AS owner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = ANY ($1::oid[]) AND c.relrowsecurity AND NOT c.relforcerowsecurity ORDER BY 1`;

/**
 * Owners that Bucardo's login cannot be made a member of: those that are members of the target's login, which is a member of
 * Bucardo's, and those that somebody else administers. Owners that are not there yet are made by that login.
 */
const CLOSED_OWNERS = sql`
  SELECT o.rolname AS owner, pg_has_role(o.oid, me.oid, 'MEMBER') AS circle
  FROM pg_roles o JOIN pg_roles me ON me.rolname = current_user LEFT JOIN pg_roles b ON b.rolname = $2
  WHERE o.rolname = ANY ($1::text[]) AND coalesce(NOT pg_has_role(b.oid, o.oid, 'USAGE'), true)
    AND (pg_has_role(o.oid, me.oid, 'MEMBER') OR NOT (pg_has_role(me.oid, o.oid, 'MEMBER WITH ADMIN OPTION')
      OR (me.rolcreaterole AND current_setting('server_version_num')::int < ${HANDED_ON})))`;

/** Bucardo's login passes row security as a member of the owner, where it cannot be let bypass it. */
const underBucardo: Check = {
  gate: 'row security under Bucardo',
  run: async (ends) => {
    const { source, target, relations, targetVersion } = ends;
    const { rows } = await source.query(GUARDED, [relations.map(({ oid }) => oid)]);
    const guarded = rows as { name: string; owner: string }[];
    const { login, bucardoBypasses } = await bypassesOf(ends);
    const owners = [...new Set(guarded.map(({ owner }) => owner))];
    const closed = (await target.query(CLOSED_OWNERS, [owners, BUCARDO_LOGIN])).rows as {
      owner: string;
      circle: boolean;
    }[];
    const findings = guarded.flatMap(({ name, owner }): Finding[] => {
      const found = closed.find((each) => each.owner === owner);
      if (bucardoBypasses || found === undefined) return [];
      const why = found.circle
        ? `is the target login "${login}", or has its rights`
        : `is not administered by "${login}"`;
      const wayOn = found.circle
        ? `let another login be the target's, or give it another owner (ALTER TABLE ${name} OWNER TO …)`
        : `GRANT "${owner}" TO "${login}" WITH ADMIN OPTION there`;
      return [
        refusal(
          `row security of ${name} would refuse Bucardo on the target, where its owner "${owner}" ${why}; ${wayOn}, or ${letPass(targetVersion, login)}`,
        ),
      ];
    });
    return { query: CLOSED_OWNERS, result: { tables: guarded.length, closed, bucardoBypasses }, findings };
  },
};

export const rowSecurityChecks: readonly Check[] = [hidden, forced, underBucardo];
