import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asMember, entryScripts, partsOf, splitEntries, statementsOf } from '../../../assets/agent/archive/entry-sql';
import { parseToc } from '../../../assets/agent/archive/toc';
import type { AgentConfig } from '../../../assets/agent/config';

const SCRIPT = `--
-- PostgreSQL database dump
--

\\restrict Xy

-- Dumped from database version 17.10

SET statement_timeout = 0;
SET transaction_timeout = 0;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: a
--

CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$SELECT '
\\restrict is a word
--
-- PostgreSQL database dump complete
--
'$$;


--
-- Name: TABLE t; Type: ACL; Schema: public; Owner: a
--

SET SESSION AUTHORIZATION "Odd; Role";
GRANT SELECT ON TABLE public.t TO PUBLIC;
RESET SESSION AUTHORIZATION;


--
-- PostgreSQL database dump complete
--

\\unrestrict Xy

`;

it('cuts off what only psql or a newer server knows, and nothing of a function that looks like it', () => {
  const statements = statementsOf(SCRIPT);
  expect(statements).not.toContain('transaction_timeout');
  expect(statements).not.toContain('\\unrestrict');
  expect(statements).toContain('\\restrict is a word\n--\n-- PostgreSQL database dump complete\n--\n');
  expect(statements.trim()).toMatch(/^--\n-- Name: f\(\);[^]*RESET SESSION AUTHORIZATION;$/);
});

it('is empty when no entry was asked for', () => {
  expect(statementsOf(`SET statement_timeout = 0;\n\n--\n-- PostgreSQL database dump complete\n--\n`)).toBe('');
});

it("grants as a member of the grantor's role, since only a superuser may become another session's user", () => {
  expect(asMember(statementsOf(SCRIPT))).toContain(
    'SET ROLE "Odd; Role";\nGRANT SELECT ON TABLE public.t TO PUBLIC;\nRESET ROLE;',
  );
});

it('splits a script into its entries', () => {
  expect(splitEntries(statementsOf(SCRIPT)).map((part) => part.split('\n')[1])).toEqual([
    '-- Name: f(); Type: FUNCTION; Schema: public; Owner: a',
    '-- Name: TABLE t; Type: ACL; Schema: public; Owner: a',
  ]);
});

describe('scripts of single entries', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'ibex-test-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  const text = (name: string): string => `RULE public ${name} a`;
  const part = (name: string, body = ''): string =>
    `--\n-- Name: ${name}; Type: RULE; Schema: public; Owner: a\n--\n\nCREATE RULE ${name};${body}\n\n`;
  const entries = (...names: string[]) =>
    parseToc(names.map((name, i) => `${i + 1}; 2618 ${i} ${text(name)}`).join('\n'));

  /** A pg_restore that writes what the directory has for each name of the list, and counts its runs. */
  function config(bodies: Record<string, string>): { config: AgentConfig; runs: () => number } {
    const scripts = Object.entries(bodies);
    for (const [name, body] of scripts) writeFileSync(join(directory, `${name}.sql`), part(name, body));
    const program = join(directory, 'pg_restore');
    const lines = `echo run >> ${directory}/runs; prev=; for arg; do [ "$prev" = -L ] && list=$arg; prev=$arg; done
      while read -r _ _ _ _ _ name _; do cat "${directory}/$name.sql"; done < "$list"`;
    writeFileSync(program, `#!/bin/sh\n${lines}\n`);
    chmodSync(program, 0o755);
    const host = { clientTools: directory, runDirectory: directory };
    const runs = (): number => readFileSync(join(directory, 'runs'), 'utf8').trim().split('\n').length;
    return { config: { host } as AgentConfig, runs };
  }

  it('come from one run of pg_restore, whatever their number', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `r${i}`);
    const { config: own, runs } = config(Object.fromEntries(names.map((name) => [name, ''])));
    const scripts = await entryScripts(own, 'archive', entries(...names));
    expect(entries(...names).map(({ key }) => scripts.get(key)?.trim())).toEqual(
      names.map((name) => part(name).trim()),
    );
    expect(runs()).toBe(1);
  });

  it('are whole where a definition holds what looks like a heading, and nothing is left out', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `r${i}`);
    const bodies = Object.fromEntries(names.map((name) => [name, name === 'r5' ? `\n${part('r6')}` : '']));
    const { config: own } = config(bodies);
    const scripts = await entryScripts(own, 'archive', entries(...names));
    expect(entries(...names).map(({ key }) => scripts.get(key)?.trim())).toEqual(
      names.map((name) => part(name, bodies[name]).trim()),
    );
  });

  it('are told apart by their headings, since pg_restore writes grants after all others', () => {
    const parts = partsOf(part('b') + part('a'), entries('a', 'b'));
    expect(entries('a', 'b').map(({ key }) => parts?.get(key))).toEqual([part('a'), part('b')]);
    expect(partsOf(part('b') + part('b'), entries('a', 'b'))).toBeUndefined();
    expect(partsOf(part('a'), entries('a', 'b'))).toBeUndefined();
  });
});
