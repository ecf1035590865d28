/**
 * An enum whose owner has made casts to text and from it, as an application may: both fail when they are called. Labels are
 * not in the order of the alphabet. And a range with such casts, of which `by_own_domain` has a domain over a domain as key.
 */
export const OWN_CASTS = `
  CREATE TYPE public.own AS ENUM ('b', 'a', 'c');
  CREATE FUNCTION public.own_to(public.own) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
  CREATE FUNCTION public.own_from(text) RETURNS public.own LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
  CREATE CAST (public.own AS text) WITH FUNCTION public.own_to(public.own);
  CREATE CAST (text AS public.own) WITH FUNCTION public.own_from(text);
  CREATE TABLE public.by_own (k public.own PRIMARY KEY, v int);
  CREATE TYPE public.own_r AS RANGE (subtype = int);
  CREATE FUNCTION public.own_to(public.own_r) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
  CREATE FUNCTION public.own_r_from(text) RETURNS public.own_r LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
  CREATE CAST (public.own_r AS text) WITH FUNCTION public.own_to(public.own_r);
  CREATE CAST (text AS public.own_r) WITH FUNCTION public.own_r_from(text);
  CREATE DOMAIN public.own_d AS public.own_r;
  CREATE DOMAIN public.own_dd AS public.own_d;
  CREATE TABLE public.by_own_domain (k public.own_dd PRIMARY KEY, v int);`;
