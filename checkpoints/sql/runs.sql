-- admit: one event, one run; no row back = known already
WITH run AS (
  INSERT INTO runs(run_id, lane, agent, event_key, event, replay_of, dry_run, audit_seq, audit_head)
  VALUES (%(run_id)s, %(lane)s, %(agent)s, %(key)s, %(event)s, %(replay_of)s, %(dry_run)s, 1,
    sha256(convert_to(%(run_id)s::text, 'UTF8') || %(body)s::bytea))
  ON CONFLICT DO NOTHING RETURNING run_no, run_id, audit_seq, audit_head),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT run_id FROM run;

-- root: the run that a reply belongs to: of the event that it answers, of a reply that joined, or whose write it answers; no row back = none. A run wins over what was only listed under the same key, or a stranger's reply could draw the answers to somebody else's mail to itself
WITH answered AS (
  SELECT place, key, run_id, CASE WHEN key LIKE 'txn:%%' THEN substr(key, 5) END AS transaction_id
  FROM unnest(%(keys)s::text[], %(run_ids)s::uuid[]) WITH ORDINALITY AS a(key, run_id, place))
SELECT coalesce((root.event->>'joins')::uuid, root.run_id) AS run_id FROM (
  SELECT a.place, 0 AS rank, r.run_id, r.event FROM answered a JOIN runs r USING (run_id)
  UNION ALL
  SELECT a.place, 1, r.run_id, r.event FROM answered a JOIN ignored i ON i.agent = %(agent)s AND i.event_key = a.key
    JOIN runs r ON r.run_id = i.run_id
  UNION ALL
  SELECT a.place, 0, r.run_id, r.event FROM answered a JOIN effects e USING (transaction_id)
    JOIN runs r ON r.run_no = e.run_no AND r.agent = %(agent)s) AS root
ORDER BY root.place, root.rank LIMIT 1;

-- join: list a reply under the run of its thread, unless the reply has one of its own; no row back = it has
WITH joined AS (SELECT %(root)s::uuid AS run_id WHERE NOT EXISTS (SELECT FROM runs WHERE run_id = %(run_id)s)),
listed AS (
  INSERT INTO ignored(agent, event_key, reason, run_id) SELECT %(agent)s, %(key)s, %(reason)s, run_id FROM joined
  ON CONFLICT DO NOTHING)
SELECT run_id FROM joined;

-- digest: what the event held that is known under this key
SELECT event->>'digest' AS digest FROM runs WHERE run_id = %(run_id)s;

-- recent: how many events of a sender came lately
SELECT count(*) AS events FROM runs
WHERE agent = %(agent)s AND event->>'sender' = %(sender)s AND created_at > now() - make_interval(secs => %(seconds)s);

-- ignore: list what starts nothing
INSERT INTO ignored(agent, event_key, reason, raw) VALUES (%(agent)s, %(key)s, %(reason)s, %(raw)s) ON CONFLICT DO NOTHING;

-- ring: wake the dispatchers; outside the admission's transaction, where it would make commits queue up
NOTIFY failsoft_runs;

-- claim: what is due in my lanes, in their order (the caller shuffles them); suspects only when asked for, to be driven alone
WITH me AS (SELECT worker_id FROM workers WHERE worker_id = %(worker)s AND gone_at IS NULL AND expires_at > now()),
due AS (
  SELECT d.run_id FROM me, unnest(%(lanes)s::text[]) AS lanes(lane), LATERAL (
    SELECT r.run_id FROM runs r WHERE r.lane = lanes.lane AND r.state IN ('queued', 'parked') AND r.due_at <= now()
      AND (r.crash_count >= 2) = %(suspects)s ORDER BY r.due_at LIMIT %(free)s FOR NO KEY UPDATE SKIP LOCKED) d
  LIMIT %(free)s)
UPDATE runs r SET state = 'running', worker_id = %(worker)s, epoch = r.epoch + 1, alone = r.crash_count >= 2,
  due_at = NULL, updated_at = now()
FROM due WHERE r.run_id = due.run_id
RETURNING r.run_id, r.run_no, r.epoch, r.wakes, r.alone, r.crash_count, r.dry_run, r.cancel_asked, r.agent, r.lane, r.event;

-- claim_one: this run, if it is due, for a command that drives it here and now
WITH me AS (SELECT worker_id FROM workers WHERE worker_id = %(worker)s AND gone_at IS NULL AND expires_at > now()),
due AS (
  SELECT r.run_id FROM me, runs r WHERE r.run_id = %(run_id)s AND r.state IN ('queued', 'parked') AND r.due_at <= now()
  FOR NO KEY UPDATE OF r SKIP LOCKED)
UPDATE runs r SET state = 'running', worker_id = %(worker)s, epoch = r.epoch + 1, alone = r.crash_count >= 2,
  due_at = NULL, updated_at = now()
FROM due WHERE r.run_id = due.run_id
RETURNING r.run_id, r.run_no, r.epoch, r.wakes, r.alone, r.crash_count, r.dry_run, r.cancel_asked, r.agent, r.lane, r.event;

-- suspects: how many runs are due that must be driven alone
SELECT count(*) AS suspects FROM runs WHERE lane = ANY(%(lanes)s) AND state IN ('queued', 'parked')
  AND due_at <= now() AND crash_count >= 2;

-- settle: done, dead, cancelled, or queued again (release); fenced. Questions end with their run. A release keeps the parks: what was not delivered yet still waits there
WITH run AS (
  UPDATE runs SET state = %(state)s, worker_id = NULL, due_at = CASE WHEN %(state)s = 'queued' THEN now() + make_interval(secs => %(after)s) END,
    outcome = %(outcome)s, reason = %(reason)s, updated_at = now(),
    audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s::bytea)
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' RETURNING run_no, audit_seq, audit_head),
pk AS (DELETE FROM parks USING run WHERE parks.run_no = run.run_no AND %(state)s IN ('done', 'cancelled')),
closed AS (
  UPDATE reviews v SET state = 'expired', escalate_at = NULL
  FROM run WHERE v.run_no = run.run_no AND v.state = 'open' AND %(state)s IN ('done', 'cancelled') RETURNING v.run_no, v.review_id),
change AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':closed:' || outbox_id, run_no, channel, change || '{"over": true}' FROM closed JOIN notices USING (run_no, review_id)
  ON CONFLICT DO NOTHING),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT run_no FROM run;

-- park: wait for exactly these parks; due at once if an answer or a cancel came since the claim, or the answer is there already. Rest is progress
WITH new AS (
  SELECT * FROM unnest(%(interrupts)s::text[], %(kinds)s::text[], %(dues)s::float8[], %(reviews)s::text[])
    AS p(interrupt_id, kind, due, review_id)),
run AS (
  UPDATE runs SET state = 'parked', worker_id = NULL, crash_count = 0, alone_crashes = 0, updated_at = now(),
    due_at = CASE WHEN wakes <> %(wakes)s OR cancel_asked AND NOT %(cancel_seen)s
        OR EXISTS (SELECT FROM new JOIN reviews v ON v.review_id = new.review_id WHERE v.state = 'answered')
      THEN now() ELSE (SELECT to_timestamp(min(new.due)) FROM new) END,
    audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s::bytea)
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' RETURNING run_no, audit_seq, audit_head),
gone AS (
  DELETE FROM parks USING run WHERE parks.run_no = run.run_no AND parks.interrupt_id <> ALL (%(interrupts)s::text[])),
pk AS (
  INSERT INTO parks(run_no, interrupt_id, kind, due_at, review_id)
  SELECT run.run_no, new.interrupt_id, new.kind, to_timestamp(new.due), new.review_id FROM run, new
  ON CONFLICT (run_no, interrupt_id) DO UPDATE
    SET kind = excluded.kind, due_at = excluded.due_at, review_id = excluded.review_id),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT run_no FROM run;

-- progress: any fenced audit event; it forgets crashes
WITH run AS (
  UPDATE runs SET crash_count = 0, alone_crashes = 0,
    audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s::bytea)
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running'
  RETURNING run_no, audit_seq, audit_head, cancel_asked),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT cancel_asked FROM run;

-- begin: one more attempt; no progress yet
WITH run AS (
  UPDATE runs SET audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s::bytea)
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running'
  RETURNING run_no, epoch, audit_seq, audit_head, cancel_asked),
attempt AS (
  INSERT INTO attempts(run_no, trace_id, epoch) SELECT run_no, %(trace)s, epoch FROM run ON CONFLICT DO NOTHING),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT cancel_asked FROM run;

-- expire: take the runs of gone workers back, a crash each; from the second on they wait, and too many alone make one dead
WITH lost AS (
  SELECT r.run_id, r.alone AND r.alone_crashes + 1 >= %(alone_limit)s AS dead,
    convert_to('{"at":"' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
      || '","kind":"run.lost","run":"' || r.run_id || '","worker":"' || w.worker_id || '"}', 'UTF8') AS body
  FROM workers w JOIN runs r ON r.worker_id = w.worker_id AND r.state = 'running'
  WHERE w.gone_at IS NOT NULL ORDER BY r.run_id FOR NO KEY UPDATE OF r SKIP LOCKED),
run AS (
  UPDATE runs r SET state = CASE WHEN l.dead THEN 'dead' ELSE 'queued' END, worker_id = NULL, epoch = r.epoch + 1,
    due_at = CASE WHEN NOT l.dead THEN now() + make_interval(secs =>
      CASE WHEN r.crash_count = 0 THEN 0 ELSE %(backoff)s * 2 ^ least(r.crash_count - 1, 6) END) END,
    crash_count = r.crash_count + 1, alone_crashes = r.alone_crashes + r.alone::int, updated_at = now(),
    reason = CASE WHEN l.dead THEN 'its worker died each time it was driven alone' ELSE 'its worker is gone' END,
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || l.body)
  FROM lost l WHERE r.run_id = l.run_id
  RETURNING r.run_no, r.run_id, r.agent, r.state, r.crash_count, r.audit_seq, r.audit_head, l.body),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, body, audit_head FROM run)
SELECT run_id, agent, state, crash_count FROM run;

-- give_back: what a live worker holds without driving it, after the answer to a claim or settle was lost; no crash
WITH idle AS (
  SELECT run_id, convert_to('{"at":"' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
      || '","kind":"run.given_back","run":"' || run_id || '","worker":"' || worker_id || '"}', 'UTF8') AS body
  FROM runs WHERE worker_id = %(worker)s AND state = 'running' AND run_id <> ALL (%(driven)s::uuid[])
  ORDER BY run_id FOR NO KEY UPDATE),
run AS (
  UPDATE runs r SET state = 'queued', worker_id = NULL, epoch = r.epoch + 1, due_at = now(), updated_at = now(),
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || idle.body)
  FROM idle WHERE r.run_id = idle.run_id RETURNING r.run_no, r.run_id, r.audit_seq, r.audit_head, idle.body),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, body, audit_head FROM run)
SELECT run_id FROM run;

-- lock: a statement of its own before a decision on other tables, which would else be read as they were before the wait
SELECT state FROM runs WHERE run_id = %(run_id)s FOR NO KEY UPDATE;

-- cancel: at once when nobody drives it and no write is undecided; else whoever drives it sees cancel_asked
WITH seen AS (
  SELECT run_no, state <> 'running' AND NOT EXISTS (
    SELECT FROM effects e WHERE e.run_no = r.run_no AND e.state IN ('in_flight', 'unknown')) AS free
  FROM runs r WHERE run_id = %(run_id)s AND state IN ('queued', 'running', 'parked')),
run AS (
  UPDATE runs r SET cancel_asked = true, updated_at = now(),
    state = CASE WHEN seen.free THEN 'cancelled' ELSE r.state END,
    due_at = CASE WHEN r.state <> 'running' AND NOT seen.free THEN now() END,
    audit_seq = r.audit_seq + 1,
    audit_head = sha256(r.audit_head || CASE WHEN seen.free THEN %(cancelled)s::bytea ELSE %(asked)s::bytea END)
  FROM seen WHERE r.run_no = seen.run_no
  RETURNING r.run_no, r.state, r.audit_seq, r.audit_head, seen.free),
pk AS (DELETE FROM parks USING run WHERE parks.run_no = run.run_no AND run.free),
closed AS (
  UPDATE reviews v SET state = 'expired', escalate_at = NULL
  FROM run WHERE v.run_no = run.run_no AND v.state = 'open' AND run.free RETURNING v.run_no, v.review_id),
change AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':closed:' || outbox_id, run_no, channel, change || '{"over": true}' FROM closed JOIN notices USING (run_no, review_id)
  ON CONFLICT DO NOTHING),
ev AS (
  INSERT INTO audit_event(run_no, seq, body, hash)
  SELECT run_no, audit_seq, CASE WHEN free THEN %(cancelled)s::bytea ELSE %(asked)s::bytea END, audit_head FROM run)
SELECT state FROM run;

-- retry_dead: the same run goes on, as if it had never crashed
WITH run AS (
  UPDATE runs SET state = 'queued', lane = coalesce(%(lane)s, lane), due_at = now(), epoch = epoch + 1, crash_count = 0, alone_crashes = 0, alone = false,
    cancel_asked = false, outcome = NULL, reason = NULL, updated_at = now(),
    audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s::bytea)
  WHERE run_id = %(run_id)s AND state = 'dead' RETURNING run_no, audit_seq, audit_head),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT run_no FROM run;

-- discard_dead: a person says that it shall stay undone
WITH run AS (
  UPDATE runs SET state = 'cancelled', epoch = epoch + 1, reason = %(reason)s, updated_at = now(),
    audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s::bytea)
  WHERE run_id = %(run_id)s AND state = 'dead' RETURNING run_no, audit_seq, audit_head),
pk AS (DELETE FROM parks USING run WHERE parks.run_no = run.run_no),
closed AS (
  UPDATE reviews v SET state = 'expired', escalate_at = NULL
  FROM run WHERE v.run_no = run.run_no AND v.state = 'open' RETURNING v.run_no, v.review_id),
change AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':closed:' || outbox_id, run_no, channel, change || '{"over": true}' FROM closed JOIN notices USING (run_no, review_id)
  ON CONFLICT DO NOTHING),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM run)
SELECT run_no FROM run;

-- stranded: runs of these agents that wait for a graph version that is not among the lanes
SELECT lane, count(*) AS runs FROM runs
WHERE agent = ANY(%(agents)s) AND state IN ('queued', 'parked') AND lane <> ALL (%(lanes)s::text[])
GROUP BY lane ORDER BY lane;

-- move: whatever of an agent waits or is dead goes on by another version of its graph
WITH old AS (
  SELECT run_id, convert_to('{"at":"' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
      || '","from":' || to_json(lane) || ',"kind":"run.moved","run":"' || run_id || '","to":' || to_json(%(lane)s::text) || '}', 'UTF8') AS body
  FROM runs WHERE agent = %(agent)s AND state IN ('queued', 'parked', 'dead') AND lane <> %(lane)s
  ORDER BY run_id FOR NO KEY UPDATE),
run AS (
  UPDATE runs r SET lane = %(lane)s, updated_at = now(),
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || old.body)
  FROM old WHERE r.run_id = old.run_id RETURNING r.run_no, r.audit_seq, r.audit_head, old.body),
ev AS (INSERT INTO audit_event(run_no, seq, body, hash) SELECT run_no, audit_seq, body, audit_head FROM run)
SELECT count(*) AS runs FROM run;

-- attempts: when each began, by which lease, and the trace of it; oldest first
SELECT trace_id, epoch, started_at FROM attempts WHERE run_no = %(run_no)s ORDER BY started_at, trace_id;

-- get: one run
SELECT * FROM runs WHERE run_id = %(run_id)s;

-- find: runs by the range of ids that a prefix spans, or by event key
SELECT * FROM runs WHERE run_id BETWEEN %(low)s AND %(high)s
UNION ALL
SELECT * FROM runs WHERE event_key = %(key)s AND NOT run_id BETWEEN %(low)s AND %(high)s
LIMIT 3;

-- list: the newest first
SELECT run_id, run_no, lane, agent, event_key, state, due_at, worker_id, epoch, crash_count, cancel_asked, dry_run,
  replay_of, outcome, reason, created_at, updated_at
FROM runs WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(agent)s::text IS NULL OR agent = %(agent)s)
ORDER BY run_no DESC LIMIT %(limit)s;

-- counts: runs by state
SELECT state, count(*) AS runs FROM runs GROUP BY state;

-- next_due: seconds until the first run of these lanes is due; below 0 when it is already
SELECT extract(epoch FROM min(d.due_at) - now())::float8 AS seconds
FROM unnest(%(lanes)s::text[]) AS lanes(lane), LATERAL (
  SELECT r.due_at FROM runs r WHERE r.lane = lanes.lane AND r.state IN ('queued', 'parked') AND r.due_at IS NOT NULL
  ORDER BY r.due_at LIMIT 1) d;
