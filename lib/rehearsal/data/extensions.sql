-- Run by the source's superuser, as a hosted service does on request of a customer.
CREATE SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO PUBLIC;
CREATE EXTENSION citext SCHEMA extensions;
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION btree_gist SCHEMA public;
