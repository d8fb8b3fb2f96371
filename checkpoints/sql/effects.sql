-- newest: the newest generation of a write
SELECT *, clock_timestamp() AS now FROM effects
WHERE run_no = %(run_no)s AND node = %(node)s AND item_key = %(item_key)s
ORDER BY generation DESC LIMIT 1;

-- of_run: every write of a run, in the order in which they were claimed
SELECT *, clock_timestamp() AS now FROM effects WHERE run_no = %(run_no)s ORDER BY created_at, transaction_id;

-- claim: T1 of a write that was never tried; no row = the lease is lost; no id in it = cancelled, or claimed before
WITH run AS (
  SELECT run_no, epoch, cancel_asked FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
effect AS (
  INSERT INTO effects (transaction_id, run_no, node, item_key, operation, request, request_hash, mark,
    state, epoch, send_deadline, settle_seconds)
  SELECT %(transaction_id)s, run_no, %(node)s, %(item_key)s, %(operation)s, %(request)s, %(request_hash)s, %(mark)s,
    'in_flight', epoch, clock_timestamp() + make_interval(secs => %(within)s), %(settle)s
  FROM run WHERE NOT cancel_asked ON CONFLICT DO NOTHING RETURNING *),
head AS (
  UPDATE runs SET audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s)
  FROM effect WHERE runs.run_no = effect.run_no RETURNING runs.run_no, audit_seq, audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head)
SELECT run.cancel_asked, effect.*, clock_timestamp() AS now FROM run LEFT JOIN effect ON true;

-- send_again: a write that was proven not executed goes out once more; no row = the lease is lost; no id in it = cancelled, or the write has moved on
WITH run AS (
  SELECT run_no, epoch, cancel_asked FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
effect AS (
  UPDATE effects e SET state = 'in_flight', attempts = e.attempts + 1, epoch = run.epoch,
    send_deadline = clock_timestamp() + make_interval(secs => %(within)s), updated_at = now()
  FROM run WHERE e.transaction_id = %(transaction_id)s AND e.run_no = run.run_no AND e.state = 'waiting' AND NOT run.cancel_asked RETURNING e.*),
head AS (
  UPDATE runs SET audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s)
  FROM effect WHERE runs.run_no = effect.run_no RETURNING runs.run_no, audit_seq, audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head)
SELECT run.cancel_asked, effect.*, clock_timestamp() AS now FROM run LEFT JOIN effect ON true;

-- settle: T2 and every later verdict, fenced by the run's epoch and by the state that was seen
WITH run AS (
  SELECT run_no, epoch, cancel_asked FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
effect AS (
  UPDATE effects e SET state = %(state)s, epoch = run.epoch, external_id = %(external_id)s, response = %(response)s,
    reason = %(reason)s, updated_at = now(), was_unknown = e.was_unknown OR %(state)s = 'unknown',
    unknown_rounds = e.unknown_rounds + (e.state = 'unknown' AND %(state)s = 'waiting')::int
  FROM run WHERE e.transaction_id = %(transaction_id)s AND e.run_no = run.run_no AND e.state = %(seen)s
  RETURNING e.*, run.cancel_asked),
head AS (
  UPDATE runs SET audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s)
  FROM effect WHERE runs.run_no = effect.run_no RETURNING runs.run_no, audit_seq, audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head)
SELECT *, clock_timestamp() AS now FROM effect;

-- lock: the effect that a person decides about; the run is locked already
SELECT *, clock_timestamp() AS now FROM effects WHERE transaction_id = %(transaction_id)s FOR NO KEY UPDATE;

-- next_generation: a person edited or retried a write that is surely not there; no row = somebody did so before
WITH ended AS (
  UPDATE effects SET state = 'failed', updated_at = now()
  WHERE transaction_id = %(transaction_id)s AND state IN ('failed', 'waiting') RETURNING *)
INSERT INTO effects (transaction_id, run_no, node, item_key, generation, operation, request, request_hash, mark,
  state, epoch, attempts, send_deadline, settle_seconds)
SELECT %(next_id)s, run_no, node, item_key, generation + 1, operation, %(request)s, %(request_hash)s, mark,
  'waiting', epoch, 0, clock_timestamp(), settle_seconds
FROM ended ON CONFLICT DO NOTHING RETURNING transaction_id;

-- look_again: a person wants an undecided write looked for once more; it may be there, so it is never sent at once
UPDATE effects SET state = 'unknown', unknown_rounds = 0, reason = NULL, updated_at = now()
WHERE transaction_id = %(transaction_id)s AND state = 'needs_human' RETURNING transaction_id;

-- point_out: a person knows where the undecided write is
UPDATE effects SET state = 'done', external_id = %(external_id)s, reason = NULL, updated_at = now()
WHERE transaction_id = %(transaction_id)s AND state = 'needs_human' RETURNING transaction_id;
