-- post: leave a message; the same key leaves one
INSERT INTO outbox (idempotency_key, channel, body) VALUES (%(idempotency_key)s, %(channel)s, %(body)s) ON CONFLICT DO NOTHING;

-- take: lease what is due, channel by channel in turn, so that one that is slow holds up no other; the number of attempts fences what is written about it afterwards
WITH turns AS (
  SELECT outbox_id, row_number() OVER (PARTITION BY channel ORDER BY attempts, due_at) AS turn FROM outbox WHERE due_at <= now()),
due AS (
  SELECT o.outbox_id FROM turns JOIN outbox o USING (outbox_id) WHERE o.due_at <= now()
  ORDER BY turn, o.attempts, o.due_at LIMIT %(limit)s FOR NO KEY UPDATE OF o SKIP LOCKED)
UPDATE outbox o SET due_at = now() + make_interval(secs => %(lease)s), attempts = o.attempts + 1
FROM due WHERE o.outbox_id = due.outbox_id
RETURNING o.outbox_id, o.idempotency_key, o.channel, o.body, o.attempts;

-- done: delivered; where it is, for whoever changes it later
UPDATE outbox SET due_at = NULL, delivered_at = now(), reason = NULL, response = %(response)s
WHERE outbox_id = %(outbox_id)s AND attempts = %(attempts)s;

-- failed: not delivered; once more, later
UPDATE outbox SET due_at = now() + make_interval(secs => %(retry_in)s), reason = %(reason)s
WHERE outbox_id = %(outbox_id)s AND attempts = %(attempts)s;

-- give_up: not delivered, for good
UPDATE outbox SET due_at = NULL, reason = %(reason)s WHERE outbox_id = %(outbox_id)s AND attempts = %(attempts)s;

-- place: whether a message is still under way, and where it is
SELECT due_at IS NOT NULL AS under_way, response FROM outbox WHERE outbox_id = %(outbox_id)s;

-- known_place: where the newest message of a channel is
SELECT response FROM outbox WHERE channel = %(channel)s AND response IS NOT NULL ORDER BY outbox_id DESC LIMIT 1;

-- pending: how many are not delivered yet
SELECT count(*) AS pending FROM outbox WHERE due_at IS NOT NULL;
