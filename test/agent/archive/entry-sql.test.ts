import { asMember, splitEntries, statementsOf } from '../../../assets/agent/archive/entry-sql';

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
