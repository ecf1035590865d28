/**
 * An enum whose owner has made casts to text and from it, as an application may: both fail when they are called. Labels are
 * not in the order of the alphabet.
 */
export const OWN_CASTS = `
  CREATE TYPE public.own AS ENUM ('b', 'a', 'c');
  CREATE FUNCTION public.own_to(public.own) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
  CREATE FUNCTION public.own_from(text) RETURNS public.own LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
  CREATE CAST (public.own AS text) WITH FUNCTION public.own_to(public.own);
  CREATE CAST (text AS public.own) WITH FUNCTION public.own_from(text);
  CREATE TABLE public.by_own (k public.own PRIMARY KEY, v int);`;
