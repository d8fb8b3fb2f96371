-- chain: the stored events of a run beside the head of its chain; one statement, so both are of one moment
SELECT r.audit_seq, r.audit_head, e.seq, e.body, e.hash
FROM runs r LEFT JOIN audit_event e ON e.run_no = r.run_no
WHERE r.run_id = %(run_id)s ORDER BY e.seq;
