-- open: ask once, and tell every channel; asked again after it expired, it is open again
WITH run AS (
  SELECT run_id, run_no FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
review AS (
  INSERT INTO reviews (review_id, run_no, node, transaction_id, question, allowed, step_seconds, escalate_at, escalations)
  SELECT %(review_id)s, run_no, %(node)s, %(transaction_id)s, %(question)s, %(allowed)s, %(step_seconds)s,
    now() + make_interval(secs => %(step_seconds)s), %(escalations)s FROM run
  ON CONFLICT (review_id) DO UPDATE SET state = 'open', escalate_at = excluded.escalate_at, level = reviews.level + 1
  WHERE reviews.state = 'expired' RETURNING *),
head AS (
  UPDATE runs SET audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s)
  FROM review WHERE runs.run_no = review.run_no RETURNING runs.run_no, audit_seq, audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head),
message AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':' || level || ':' || channel, review.run_no, channel,
    jsonb_build_object('kind', 'review', 'review_id', review_id, 'run_id', run_id, 'node', node, 'level', level,
      'question', question, 'allowed', to_jsonb(allowed))
  FROM run, review, unnest(%(channels)s::text[]) AS channel ON CONFLICT DO NOTHING)
SELECT run_no FROM run;

-- lock: the run of a review first, as its driver does
SELECT r.run_id FROM reviews v JOIN runs r USING (run_no) WHERE v.review_id = %(review_id)s FOR NO KEY UPDATE OF r;

-- get: one review
SELECT v.*, r.run_id, r.state AS run_state FROM reviews v JOIN runs r USING (run_no) WHERE v.review_id = %(review_id)s;

-- list: the most urgent open ones first, of the others the newest
SELECT v.*, r.run_id FROM reviews v JOIN runs r USING (run_no) WHERE v.state = %(state)s
ORDER BY CASE WHEN v.state = 'open' THEN v.escalate_at END, v.created_at DESC LIMIT %(limit)s;

-- of_run: the reviews of a run, oldest first
SELECT v.*, r.run_id FROM reviews v JOIN runs r USING (run_no) WHERE v.run_no = %(run_no)s ORDER BY v.created_at, v.review_id;

-- answer: keep the first answer, have it shown where the question stands, and wake the run, which is locked already
WITH review AS (
  UPDATE reviews SET state = 'answered', answer = %(answer)s, answered_by = %(by)s, answered_at = now(), escalate_at = NULL
  WHERE review_id = %(review_id)s AND state = 'open' RETURNING *),
head AS (
  UPDATE runs r SET wakes = r.wakes + 1, due_at = CASE WHEN r.state = 'parked' THEN now() ELSE r.due_at END,
    audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || %(body)s)
  FROM review WHERE r.run_no = review.run_no RETURNING r.run_id, r.run_no, r.audit_seq, r.audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head),
change AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':answered:' || outbox_id, run_no, channel, change FROM review JOIN notices USING (run_no, review_id)
  ON CONFLICT DO NOTHING)
SELECT review.*, head.run_id FROM review JOIN head USING (run_no);

-- late: whose deadline has passed, with no lock; a run that is being driven settles first
SELECT v.review_id, v.level, r.run_id,
  v.level >= cardinality(v.escalations) OR r.state IN ('done', 'dead', 'cancelled') AS over
FROM reviews v JOIN runs r USING (run_no)
WHERE v.state = 'open' AND v.escalate_at <= now()
  AND (v.level < cardinality(v.escalations) OR r.state NOT IN ('queued', 'running'))
ORDER BY v.escalate_at LIMIT 100;

-- escalate: tell the next one, and say so where the question stands; the level that was seen fences out whoever does the same
WITH run AS (
  SELECT r.run_id, r.run_no FROM reviews v JOIN runs r USING (run_no)
  WHERE v.review_id = %(review_id)s FOR NO KEY UPDATE OF r SKIP LOCKED),
review AS (
  UPDATE reviews v SET level = v.level + 1, escalate_at = now() + make_interval(secs => v.step_seconds)
  FROM run WHERE v.review_id = %(review_id)s AND v.run_no = run.run_no AND v.state = 'open' AND v.level = %(level)s RETURNING v.*),
head AS (
  UPDATE runs SET audit_seq = audit_seq + 1, audit_head = sha256(audit_head || %(body)s)
  FROM review WHERE runs.run_no = review.run_no RETURNING runs.run_no, audit_seq, audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head),
message AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':' || level || ':' || escalations[level], review.run_no, escalations[level],
    jsonb_build_object('kind', 'review', 'review_id', review_id, 'run_id', run_id, 'node', node, 'level', level,
      'question', question, 'allowed', to_jsonb(allowed))
  FROM run, review ON CONFLICT DO NOTHING),
change AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':escalated:' || level || ':' || outbox_id, run_no, channel, change FROM review JOIN notices USING (run_no, review_id)
  ON CONFLICT DO NOTHING)
SELECT review.*, run.run_id FROM review JOIN run USING (run_no);

-- expire: nobody answered, and nobody answers for them: a run that only waits is dead, which is listed
WITH run AS (
  SELECT r.run_id, r.run_no FROM reviews v JOIN runs r USING (run_no)
  WHERE v.review_id = %(review_id)s AND r.state NOT IN ('queued', 'running') FOR NO KEY UPDATE OF r SKIP LOCKED),
review AS (
  UPDATE reviews v SET state = 'expired', escalate_at = NULL
  FROM run WHERE v.review_id = %(review_id)s AND v.run_no = run.run_no AND v.state = 'open' AND v.level = %(level)s RETURNING v.*),
head AS (
  UPDATE runs r SET
    state = CASE r.state WHEN 'parked' THEN 'dead' ELSE r.state END,
    reason = CASE r.state WHEN 'parked' THEN 'nobody answered review ' || review.review_id ELSE r.reason END,
    due_at = NULL, updated_at = now(), audit_seq = r.audit_seq + 1, audit_head = sha256(r.audit_head || %(body)s)
  FROM review WHERE r.run_no = review.run_no RETURNING r.run_no, r.audit_seq, r.audit_head),
event AS (INSERT INTO audit_event (run_no, seq, body, hash) SELECT run_no, audit_seq, %(body)s, audit_head FROM head),
change AS (
  INSERT INTO outbox (idempotency_key, run_no, channel, body)
  SELECT 'review:' || review_id || ':expired:' || level || ':' || outbox_id, run_no, channel, change FROM review JOIN notices USING (run_no, review_id)
  ON CONFLICT DO NOTHING)
SELECT review.*, run.run_id FROM review JOIN run USING (run_no);
