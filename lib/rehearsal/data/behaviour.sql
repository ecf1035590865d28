-- Run by the owner of the source's database, after the data: triggers, views and grants.
CREATE TRIGGER customer_touch BEFORE INSERT OR UPDATE ON shop.customer FOR EACH ROW EXECUTE PROCEDURE shop.touch();
CREATE TRIGGER order_touch BEFORE UPDATE ON shop."Order" FOR EACH ROW EXECUTE PROCEDURE shop.touch();
CREATE TRIGGER "Log Changes" AFTER INSERT OR UPDATE OR DELETE ON shop.priority
  FOR EACH ROW EXECUTE PROCEDURE "Mixed Case"."Write Log"();
COMMENT ON TRIGGER "Log Changes" ON shop.priority IS 'Who moved it';
UPDATE shop.priority SET slug = slug || '!' WHERE id % 10 = 0;

CREATE FUNCTION shop.spent(customer integer) RETURNS numeric LANGUAGE sql STABLE AS
$$ SELECT coalesce(sum(l.quantity * l.price), 0)
   FROM shop."Order" AS o JOIN shop.order_line AS l ON l.order_id = o.id WHERE o.customer_id = $1 $$;

CREATE VIEW shop.customer_spending AS
  SELECT c.id, c.name, c.status, shop.spent(c.id) AS spent FROM shop.customer AS c;
CREATE VIEW "Mixed Case"."Big Spenders" AS
  SELECT id AS "Id", name AS "Name", spent FROM shop.customer_spending WHERE spent > 20 AND status <> 'gone';
COMMENT ON VIEW "Mixed Case"."Big Spenders" IS 'A view on a view in another schema';

CREATE MATERIALIZED VIEW billing.sales_by_day AS
  SELECT ("Placed At" AT TIME ZONE 'UTC')::date AS day, count(*) AS orders FROM shop."Order" GROUP BY 1;
CREATE UNIQUE INDEX sales_by_day_day ON billing.sales_by_day (day);

GRANT USAGE ON SCHEMA shop, billing, "Mixed Case" TO shop_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop, billing, "Mixed Case" TO shop_app;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA shop, billing, "Mixed Case" TO shop_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT USAGE, SELECT ON SEQUENCES TO shop_app;
REVOKE ALL ON FUNCTION shop.spent(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.spent(integer) TO shop_app;
