-- deliverable: timers that are due and questions that are answered, for whoever drives the run
SELECT p.interrupt_id, p.kind, v.answer, coalesce(v.question->>'kind' = 'interrupt', false) AS plain
FROM runs r JOIN parks p ON p.run_no = r.run_no LEFT JOIN reviews v ON v.review_id = p.review_id
WHERE r.run_id = %(run_id)s AND r.epoch = %(epoch)s AND r.state = 'running'
  AND CASE p.kind WHEN 'timer' THEN p.due_at <= now() ELSE v.state = 'answered' END
ORDER BY p.interrupt_id;
