-- What becomes of a review is shown where its notices stand.

CREATE INDEX outbox_run ON outbox (run_no) WHERE run_no IS NOT NULL;

CREATE VIEW notices AS                    -- those that can be changed: delivered ones, and whatever may still be delivered
SELECT run_no, body->>'review_id' AS review_id, outbox_id, channel,
  jsonb_build_object('kind', 'review-changed', 'review_id', body->>'review_id', 'notice', outbox_id) AS change
FROM outbox
WHERE body->>'kind' = 'review' AND split_part(channel, ':', 1) IN ('slack', 'pagerduty')
  AND (due_at IS NOT NULL OR response IS NOT NULL);
