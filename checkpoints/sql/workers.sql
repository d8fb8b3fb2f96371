-- register: a process enters; its row is its lease
INSERT INTO workers(worker_id, name, expires_at) VALUES (%(worker)s, %(name)s, now() + make_interval(secs => %(lease)s));

-- heartbeat: no row back = declared gone: cancel everything and register anew under a new id
UPDATE workers SET expires_at = now() + make_interval(secs => %(lease)s)
WHERE worker_id = %(worker)s AND gone_at IS NULL RETURNING worker_id;

-- leave: a clean exit; who still holds a run stays, and is swept when the lease ends
UPDATE workers SET gone_at = now()
WHERE worker_id = %(worker)s AND gone_at IS NULL
  AND NOT EXISTS (SELECT FROM runs WHERE worker_id = %(worker)s AND state = 'running')
RETURNING worker_id;

-- sweep: declare expired workers gone, and forget those that are gone for a day and hold nothing
WITH forgotten AS (
  DELETE FROM workers WHERE worker_id IN (
    SELECT w.worker_id FROM workers w WHERE w.gone_at < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM runs r WHERE r.worker_id = w.worker_id AND r.state = 'running')
    ORDER BY w.worker_id FOR UPDATE SKIP LOCKED))
UPDATE workers SET gone_at = now() WHERE worker_id IN (
  SELECT worker_id FROM workers WHERE gone_at IS NULL AND expires_at < now() ORDER BY worker_id FOR UPDATE SKIP LOCKED)
RETURNING worker_id;

-- live: who works, and on how many runs
SELECT w.worker_id, w.name, w.expires_at,
  (SELECT count(*) FROM runs r WHERE r.worker_id = w.worker_id AND r.state = 'running') AS runs
FROM workers w WHERE w.gone_at IS NULL ORDER BY w.name, w.worker_id;
