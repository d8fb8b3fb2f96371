-- lock: polled, because a waiter in pg_advisory_lock keeps a snapshot that CREATE INDEX CONCURRENTLY waits for
SELECT pg_try_advisory_lock(%(key)s) AS mine;

-- create_list: what was applied
CREATE TABLE IF NOT EXISTS failsoft_migrations (
  name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

-- list_exists: is there a list in the connection's default schema
SELECT to_regclass('failsoft_migrations') IS NOT NULL AS found;

-- applied: the names in the list
SELECT name FROM failsoft_migrations;

-- record: one more was applied
INSERT INTO failsoft_migrations(name) VALUES (%(name)s) ON CONFLICT DO NOTHING;
