-- reserve: count a call against its run before it is made, unless a durable answer is there; no row = the lease is lost
WITH run AS (
  SELECT run_no, epoch, model_calls, tokens, usd_micros, cancel_asked FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
answered AS (
  SELECT m.call_id, m.answer FROM run JOIN model_calls m USING (run_no)
  WHERE m.call_key = %(call_key)s AND m.state = 'answered' ORDER BY m.created_at LIMIT 1),
head AS (
  UPDATE runs r SET model_calls = r.model_calls + 1, tokens = r.tokens + %(tokens)s, usd_micros = r.usd_micros + %(micros)s,
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || %(body)s)
  FROM run WHERE r.run_no = run.run_no AND NOT run.cancel_asked AND NOT EXISTS (SELECT FROM answered)
    AND run.model_calls < %(calls_limit)s AND run.tokens + %(tokens)s <= %(tokens_limit)s
    AND (%(micros_limit)s::bigint IS NULL OR run.usd_micros + %(micros)s <= %(micros_limit)s)
  RETURNING r.run_no, r.epoch, r.audit_seq, r.audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head),
call AS (
  INSERT INTO model_calls (call_id, run_no, epoch, call_key, model, reserved_tokens, reserved_micros)
  SELECT %(call_id)s, run_no, epoch, %(call_key)s, %(model)s, %(tokens)s, %(micros)s FROM head)
SELECT run.model_calls AS calls, run.tokens, run.usd_micros AS micros, EXISTS (SELECT FROM head) AS reserved,
  run.cancel_asked, answered.call_id AS answered_call, answered.answer
FROM run LEFT JOIN answered ON true;

-- answer: the truth replaces the reservation, in the call and in its run
WITH run AS (
  SELECT run_no FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
call AS (
  UPDATE model_calls m SET state = 'answered', answer = %(answer)s, input_tokens = %(input_tokens)s,
    output_tokens = %(output_tokens)s, micros = %(micros)s, estimated = %(estimated)s
  FROM run WHERE m.call_id = %(call_id)s AND m.run_no = run.run_no AND m.state = 'reserved'
  RETURNING m.run_no, m.input_tokens + m.output_tokens - m.reserved_tokens AS more_tokens, m.micros - m.reserved_micros AS more_micros),
head AS (
  UPDATE runs r SET tokens = r.tokens + call.more_tokens, usd_micros = r.usd_micros + call.more_micros,
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || %(body)s)
  FROM call WHERE r.run_no = call.run_no RETURNING r.run_no, r.audit_seq, r.audit_head)
INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head RETURNING run_no;

-- refuse: the call was surely not executed, so its reservation is given back and it does not count
WITH run AS (
  SELECT run_no FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
call AS (
  UPDATE model_calls m SET state = 'refused'
  FROM run WHERE m.call_id = %(call_id)s AND m.run_no = run.run_no AND m.state = 'reserved'
  RETURNING m.run_no, m.reserved_tokens, m.reserved_micros),
head AS (
  UPDATE runs r SET model_calls = r.model_calls - 1, tokens = r.tokens - call.reserved_tokens,
    usd_micros = r.usd_micros - call.reserved_micros,
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || %(body)s)
  FROM call WHERE r.run_no = call.run_no RETURNING r.run_no, r.audit_seq, r.audit_head)
INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head RETURNING run_no;

-- of_run: the calls of a run, oldest first
SELECT * FROM model_calls WHERE run_no = %(run_no)s ORDER BY created_at, call_id;

-- totals: what all runs have spent; an unanswered call counts as it was reserved
SELECT count(*) FILTER (WHERE state = 'answered') AS answered, count(*) FILTER (WHERE state = 'reserved') AS unanswered,
  coalesce(sum(CASE state WHEN 'answered' THEN input_tokens + output_tokens WHEN 'reserved' THEN reserved_tokens END), 0)::bigint AS tokens,
  coalesce(sum(CASE state WHEN 'answered' THEN micros WHEN 'reserved' THEN reserved_micros END), 0)::bigint AS micros
FROM model_calls;
