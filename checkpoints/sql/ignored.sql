-- list: what started nothing for an agent
SELECT event_key, reason, run_id FROM ignored WHERE agent = %(agent)s ORDER BY at, event_key, reason;
