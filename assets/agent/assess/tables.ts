import { unfitNames } from '../capture/unfit-names';
import type { Relation } from '../catalog/relations';
import { sql } from '../sql';
import { askFor, lookAt, refusal, warning, type Check, type Finding } from './check';

const EXCLUDE = 'or name its schema in excludeSchemas';

const keyFinding = (relation: Relation): Finding | undefined => {
  if (relation.key === undefined) {
    return refusal(
      `table ${relation.sql} has no primary key and no unique index that could serve; ALTER TABLE ${relation.sql} ADD PRIMARY KEY (…), ${EXCLUDE}`,
    );
  }
  if (relation.key.unusable === undefined) return undefined;
  return refusal(
    `table ${relation.sql} has no usable key: ${relation.key.unusable}; or ALTER TABLE ${relation.sql} ADD PRIMARY KEY (…), ${EXCLUDE}`,
  );
};

const keys = lookAt('keys', 'the primary key or unique index of each table', ({ relations }) =>
  relations.flatMap((relation) => keyFinding(relation) ?? []),
);

const names = lookAt('names', 'names of tables and columns, deltaName of each table', ({ relations }) =>
  unfitNames(relations).map(refusal),
);

const inheritance = lookAt('inheritance', 'pg_inherits', ({ relations }) =>
  relations
    .filter((relation) => relation.inherits)
    .map((relation) =>
      refusal(
        `table ${relation.sql} takes part in inheritance without partitioning; make it a partitioned or a plain table`,
      ),
    ),
);

const unlogged = lookAt('unlogged tables', 'pg_class.relpersistence', ({ relations }) =>
  relations
    .filter((relation) => relation.unlogged)
    .map((relation) =>
      warning(`table ${relation.sql} is unlogged: a crash of the source empties it, which nobody captures`),
    ),
);

/** First major that writes floating point numbers in their shortest form, in the types of extensions too. */
const SHORTEST_FORM = 120_000;

const CUBE = /(^|\.)cube(\[\])?$/;

/** Types that a server's own functions take apart are compared by their bits; of an extension's there is only the text. */
const cubes = lookAt('text of cubes', 'types of columns', ({ relations, sourceVersion, targetVersion }) =>
  sourceVersion >= SHORTEST_FORM || targetVersion < SHORTEST_FORM
    ? []
    : relations.flatMap((relation) =>
        relation.columns
          .filter(({ type }) => CUBE.test(type))
          .map(({ name }) =>
            warning(
              `column "${name}" of ${relation.sql} is a cube, whose fractions servers before 12 write in another form: verify finds such rows different, though they are not; make it a double precision[], ${EXCLUDE}`,
            ),
          ),
      ),
);

/** The hash of an enum is that of its label's oid, and oids are other ones on the target. */
const SPREAD_BY_ENUM = sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.partstrat = 'h' AND n.nspname <> ALL ($1::text[])
    AND (EXISTS (SELECT FROM pg_opclass o WHERE o.oid = ANY (p.partclass::oid[]) AND o.opcintype = 'anyenum'::regtype)
      OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type e ON e.oid = t.typelem
        WHERE a.attrelid = c.oid AND a.attnum = ANY (p.partattrs::int2[]) AND e.typtype = 'e'))
  ORDER BY 1`;

const spreadByEnum = askFor<{ name: string }>('hash partitions by enum', 'source', SPREAD_BY_ENUM, ({ name }) =>
  refusal(
    `rows of ${name} are spread over its partitions by the hash of an enum, which is another on each server, so that the target's partitions refuse them; partition it BY LIST or by the enum's text, ${EXCLUDE}`,
  ),
);

const OTHERS = (version: number): string => sql`
  SELECT c.relkind AS kind, format('%I.%I', n.nspname, c.relname) AS name,
    ${version < 120000 ? 'c.relhasoids' : 'false'} AS oids
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.relkind = 'f' OR (c.relkind = 'r' AND ${version < 120000 ? 'c.relhasoids' : 'false'}))
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[]) ORDER BY 2`;

const foreignTables = askFor<{ kind: string; name: string; oids: boolean }>(
  'foreign tables and oids',
  'source',
  ({ sourceVersion }) => OTHERS(sourceVersion),
  ({ kind, name }) =>
    kind === 'f'
      ? refusal(`foreign table ${name} cannot be migrated; drop it ${EXCLUDE}`)
      : warning(`table ${name} is WITH OIDS, which the target does not know: its oid column is not migrated`),
);

const PUBLIC_LARGE_OBJECTS = 'SELECT count(*)::int AS count FROM pg_largeobject_metadata';

const largeObjects = askFor<{ count: number }>('large objects', 'source', PUBLIC_LARGE_OBJECTS, ({ count }) =>
  count === 0
    ? undefined
    : refusal(
        `source holds ${count} large objects, whose changes no trigger sees; move them to bytea columns and lo_unlink them`,
      ),
);

const LABELS = 'SELECT count(*)::int AS count FROM pg_seclabel';

const securityLabels = askFor<{ count: number }>('security labels', 'source', LABELS, ({ count }) =>
  count === 0 ? undefined : warning(`${count} security labels are not migrated`),
);

export const tableChecks: readonly Check[] = [
  keys,
  names,
  inheritance,
  unlogged,
  cubes,
  spreadByEnum,
  foreignTables,
  largeObjects,
  securityLabels,
];
