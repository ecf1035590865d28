-- Run by the owner of the source's database. The same rows every time: no random(), no now().
INSERT INTO shop.customer
  (email, name, status, tags, scores, profile, legacy, home, postal, balance, credit, ratio, avatar, born, joined,
   local_time, wake_up, patience, last_ip, token, search, referrer, is_active)
SELECT
  'Customer' || i || '@example.org',
  CASE i % 5 WHEN 0 THEN 'Zoë Ångström ' WHEN 1 THEN '山田 太郎 ' WHEN 2 THEN 'O''Brien\' ELSE 'Customer ' END || i,
  (enum_range(NULL::shop.customer_status))[1 + i % 4],
  CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN ARRAY['a b', 'c"d', 'e,f', NULL, ''] ELSE ARRAY['tag' || i] END,
  CASE WHEN i % 3 = 0 THEN '{}' ELSE ARRAY[i, -i, NULL] END,
  CASE WHEN i % 7 = 0 THEN NULL ELSE jsonb_build_object('n', i, 'deep', jsonb_build_array(i, NULL, 'x' || i), 'ü', 1.50) END,
  CASE WHEN i % 6 = 0 THEN NULL ELSE ('{"b" : ' || i || ',  "a":1, "a":2}')::json END,
  CASE WHEN i % 8 = 0 THEN NULL ELSE ROW('Main St. ' || i, CASE WHEN i % 2 = 0 THEN 'Köln' END, '')::shop.address END,
  CASE WHEN i % 9 = 0 THEN NULL ELSE lpad(i::text, 5, '0') END,
  CASE WHEN i % 10 = 0 THEN NULL ELSE (i * 7919 % 100000) / 100.0 - 300 END,
  CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' ELSE i / 3.0::double precision END,
  CASE i % 5 WHEN 0 THEN NULL ELSE i / 7.0::real END,
  CASE WHEN i % 3 = 0 THEN NULL ELSE decode(md5(i::text) || '00ff5c', 'hex') END,
  CASE WHEN i % 11 = 0 THEN NULL ELSE date '1950-01-01' + i * 11 END,
  timestamptz '2019-03-31 00:59:59.999999+00' + i * interval '13 hours 7 minutes',
  CASE WHEN i % 12 = 0 THEN NULL ELSE timestamp '2020-02-29 12:00:00' + i * interval '1 day' END,
  time '06:00' + (i % 600) * interval '1 minute',
  CASE WHEN i % 4 = 0 THEN NULL ELSE make_interval(months => i % 20, days => i % 40, secs => i / 8.0) END,
  CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN ('10.0.' || i % 256 || '.0/24')::inet ELSE '2001:db8::1'::inet END,
  md5('customer ' || i)::uuid,
  CASE WHEN i % 5 = 0 THEN NULL ELSE to_tsvector('simple', 'customer number ' || i) END,
  CASE WHEN i > 10 AND i % 3 = 0 THEN i / 2 END,
  CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END
FROM generate_series(1, 2000) AS i;

INSERT INTO shop.product (sku, title, price, attributes)
SELECT 'SKU-' || lpad(i::text, 4, '0'), 'Product ' || i || E'\t"quoted"', i * 1.25,
  jsonb_build_object('colour', (ARRAY['red', 'green', NULL])[1 + i % 3], 'sizes', jsonb_build_array(i, i + 1))
FROM generate_series(1, 400) AS i;
UPDATE shop.product SET replaced_by = 'SKU-0001' WHERE sku LIKE '%7';

INSERT INTO shop."Order" (customer_id, "select", "user", "Placed At", ticket)
SELECT 1 + i * 31 % 2000, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'select ' || i END, NULL,
  timestamptz '2023-06-01 00:00:00+00' + i * interval '2 hours', nextval('shop.ticket_number')
FROM generate_series(1, 3000) AS i;

INSERT INTO shop.order_line (order_id, line_no, sku, quantity, price, note)
SELECT o.id, line, 'SKU-' || lpad((1 + (o.id * line) % 400)::text, 4, '0'), 1 + (o.id % 5)::integer, line * 2.50,
  CASE WHEN line = 2 THEN E'back\\slash, tab\t and\nnew line' END
FROM shop."Order" AS o, generate_series(1, 2) AS line;

INSERT INTO shop."user" ("name", "order", "from", id)
SELECT 'user ' || i, CASE WHEN i % 2 = 0 THEN i END, CASE WHEN i % 3 = 0 THEN 'x' END, md5('user ' || i)::uuid
FROM generate_series(1, 500) AS i;

INSERT INTO shop.session (payload, expires, token, user_id)
SELECT jsonb_build_object('step', i), CASE WHEN i % 2 = 0 THEN timestamptz '2030-01-01 00:00:00+00' END,
  md5('session ' || i)::uuid, md5('user ' || (1 + i % 500))::uuid
FROM generate_series(1, 800) AS i;

INSERT INTO shop.follows (follower, followed)
SELECT i, 1 + (i * 7 + step) % 2000 FROM generate_series(1, 700) AS i, generate_series(1, 2) AS step;

INSERT INTO shop.booking (room, during, guest)
SELECT i % 10, tstzrange(start, start + interval '50 minutes'), CASE WHEN i % 4 = 0 THEN NULL ELSE 'guest ' || i END
FROM generate_series(1, 500) AS i, LATERAL (SELECT timestamptz '2024-01-01 00:00:00+00' + i / 10 * interval '1 hour') AS t (start);

INSERT INTO shop.priority (id, "position", slug)
SELECT i, 201 - i, 'slug-' || i FROM generate_series(1, 200) AS i;

INSERT INTO shop.measurement (as_double, as_real, as_numeric, taken)
SELECT value::double precision, NULLIF(value, '1e-300')::real, value::numeric, NULL
FROM unnest(ARRAY['0.1', '1e-300', '-0', '0', '3.141592653589793', '123456789012345.678', '0.30000000000000004', NULL]) AS value;
INSERT INTO shop.measurement (as_double, as_real, as_numeric)
VALUES ('NaN', 'NaN', 'NaN'), ('Infinity', '-Infinity', 1e130), ('-Infinity', 'Infinity', -1e-20), (1.7976931348623157e308, 1.17549435e-38, 1.10),
  ('-0', '-0', 1.1000), (5e-324, 3.4028235e38, 0.00);
INSERT INTO shop.measurement (as_double, as_real, as_numeric, taken)
SELECT sqrt(i), sqrt(i)::real, sqrt(i::numeric), timestamptz '2024-02-29 23:59:59.9996+00' + i * interval '1 second'
FROM generate_series(1, 500) AS i;

INSERT INTO shop.text_sample (id, what, sample) VALUES
  (1, 'empty', ''), (2, 'null', NULL), (3, 'the end-of-copy mark', '\.'), (4, 'copy''s null', '\N'), (5, 'tab', E'a\tb'),
  (6, 'new lines', E'one\ntwo\r\nthree\r'), (7, 'backslashes', '\\ \x41 \n'), (8, 'quotes', '"'' $$ `'),
  (9, 'emoji', '🦌🏔️'), (10, 'combining', E'e\u0301 is not é'), (11, 'right to left', 'שלום'), (12, 'no space', E'\u00a0\u200b'),
  (13, 'spaces', '   '), (14, 'control', E'\u0001\u007f'), (15, 'long', repeat('Gämse ', 2000));

INSERT INTO billing.invoice (number, customer_id, order_id, total, issued, paid, lines)
SELECT 'INV/2024-' || nextval('billing."Invoice Number"'), o.customer_id, o.id, o.id * 2.5, o."Placed At"::date,
  CASE WHEN o.id % 3 <> 0 THEN o."Placed At" + interval '1 day' END, NULL
FROM shop."Order" AS o WHERE o.id % 2 = 0 ORDER BY o.id;

INSERT INTO billing.payment (id, invoice, amount, received, raw)
SELECT md5(number)::uuid, number, total, paid, CASE WHEN customer_id % 2 = 0 THEN convert_to(number, 'UTF8') END
FROM billing.invoice WHERE paid IS NOT NULL;

INSERT INTO billing.ledger (account, booked, entry, amount)
SELECT 'Konto ' || i % 40, date '2024-01-01' + i % 90, i, (i - 600) * 1.00 FROM generate_series(1, 1200) AS i;

INSERT INTO billing.event (id, happened, kind, data)
SELECT i, timestamptz '2023-01-01 00:00:00+00' + i * interval '11 hours', 'kind ' || i % 7, CASE WHEN i % 2 = 0 THEN jsonb_build_object('i', i) END
FROM generate_series(1, 2000) AS i;

INSERT INTO "Mixed Case"."Settings" ("Key", "Value", "Kind")
SELECT 'Key.' || i, CASE WHEN i % 2 = 0 THEN E'C:\\dir\\' || i END, CASE WHEN i % 3 = 0 THEN '{new,"on hold"}'::shop.customer_status[] END
FROM generate_series(1, 100) AS i;

SELECT nextval('shop.countdown') FROM generate_series(1, 17);
