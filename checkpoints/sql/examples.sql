-- keep: a correction, in the transaction of its answer; of one text the newest label counts
INSERT INTO examples (agent, run_no, review_id, text, text_hash, label, proposed, actor)
SELECT agent, run_no, %(review_id)s, left(%(text)s, %(longest)s), sha256(convert_to(%(text)s, 'UTF8')), %(label)s, %(proposed)s, %(by)s
FROM runs WHERE run_no = %(run_no)s
ON CONFLICT (agent, text_hash) DO UPDATE SET run_no = excluded.run_no, review_id = excluded.review_id, text = excluded.text,
  label = excluded.label, proposed = excluded.proposed, actor = excluded.actor, at = excluded.at;

-- list: an agent's examples, the newest first
SELECT e.*, r.run_id FROM examples e LEFT JOIN runs r USING (run_no) WHERE e.agent = %(agent)s
ORDER BY e.at DESC, e.example_id DESC LIMIT %(limit)s;

-- newest: what the prompt of a run may quote, the newest first, each cut
SELECT left(text, %(longest)s) AS text, label FROM examples
WHERE agent = (SELECT agent FROM runs WHERE run_no = %(run_no)s)
ORDER BY at DESC, example_id DESC LIMIT %(limit)s;

-- forget: the copy of the text goes, and with it the label
DELETE FROM examples WHERE example_id = %(example_id)s RETURNING example_id;
