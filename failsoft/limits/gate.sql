-- ask: cool-down, calls in flight and rate (GCRA) in one statement; only who is admitted is charged. No row = the key is new
WITH gate AS (SELECT * FROM gates WHERE key = %(key)s FOR NO KEY UPDATE),
-- The clock is read after the lock was got: a call that had to wait for it would see the past.
clock AS MATERIALIZED (SELECT gate.*, clock_timestamp() AS now FROM gate),
seen AS (
  SELECT *, ARRAY(SELECT lease FROM unnest(leases) AS lease WHERE lease > now) AS live,
    make_interval(secs => 1 / %(rate)s::float8) AS every FROM clock),
verdict AS (
  SELECT *, now + make_interval(secs => %(lease)s) AS slot, CASE
    WHEN cooldown_until > now THEN 'cooldown'
    WHEN cardinality(live) >= %(in_flight)s THEN 'in_flight'
    WHEN greatest(tat, now) - now > every * %(burst)s THEN 'rate' END AS held
  FROM seen),
admitted AS (
  UPDATE gates SET tat = greatest(verdict.tat, verdict.now) + verdict.every, leases = verdict.live || verdict.slot
  FROM verdict WHERE gates.key = verdict.key AND verdict.held IS NULL)
SELECT slot, held, CASE held
  WHEN 'cooldown' THEN extract(epoch FROM cooldown_until - now)
  WHEN 'rate' THEN extract(epoch FROM greatest(tat, now) - now - every * %(burst)s)
  ELSE 0 END::float8 AS seconds
FROM verdict;

-- open: the first call of a key, also after a crash of the server emptied the table
INSERT INTO gates (key) VALUES (%(key)s) ON CONFLICT DO NOTHING;

-- back: the call is over; of two slots that end at the same instant only one is given back
UPDATE gates SET leases = leases[:array_position(leases, %(slot)s) - 1] || leases[array_position(leases, %(slot)s) + 1:]
WHERE key = %(key)s AND %(slot)s = ANY (leases);

-- cool: everybody keeps away; only ever longer
INSERT INTO gates AS g (key, cooldown_until) VALUES (%(key)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (key) DO UPDATE SET cooldown_until = greatest(g.cooldown_until, excluded.cooldown_until);
