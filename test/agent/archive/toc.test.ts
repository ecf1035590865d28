import { parseToc } from '../../../assets/agent/archive/toc';

const LISTING = `;
; Archive created at 2026-01-01 00:00:00 UTC
;     dbname: app
;
198; 1259 16387 TABLE my S t x postgres
2970; 0 0 COMMENT my S TABLE "t x" postgres
2971; 0 0 COMMENT my S TABLE "t x" postgres
2835; 2620 16455 TRIGGER public p1 after; 12 99 TRIGGER postgres
2958; 0 16387 TABLE DATA my S t x postgres
`;

it('reads entries whose names hold spaces, semicolons and words of the format', () => {
  const entries = parseToc(LISTING);
  expect(entries.map(({ dumpId, classOid, oid }) => [dumpId, classOid, oid])).toEqual([
    [198, 1259, 16387],
    [2970, 0, 0],
    [2971, 0, 0],
    [2835, 2620, 16455],
    [2958, 0, 16387],
  ]);
  expect(entries[3]?.text).toBe('TRIGGER public p1 after; 12 99 TRIGGER postgres');
});

it('gives each entry a key of its own that does not depend on the dump id', () => {
  const keys = parseToc(LISTING).map((entry) => entry.key);
  expect(new Set(keys).size).toBe(keys.length);
  const renumbered = LISTING.replaceAll(/^(\d+);/gm, (_, id: string) => `${Number(id) + 7};`);
  expect(parseToc(renumbered).map((entry) => entry.key)).toEqual(keys);
});

it('keeps the line as pg_restore wrote it', () => {
  expect(parseToc(LISTING)[0]?.line).toBe('198; 1259 16387 TABLE my S t x postgres');
});
