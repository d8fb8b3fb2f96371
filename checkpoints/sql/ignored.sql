-- list: what started nothing for an agent
SELECT event_key, reason, run_id FROM ignored WHERE agent = %(agent)s ORDER BY at, event_key, reason;

-- latest: what started nothing, the newest first; rejected: only what could not be read; its bytes stay here
SELECT agent, event_key, reason, at, run_id, length(raw) AS kept FROM ignored
WHERE (%(agent)s::text IS NULL OR agent = %(agent)s) AND (raw IS NOT NULL OR NOT %(rejected)s)
ORDER BY at DESC, agent, event_key, reason LIMIT %(limit)s;

-- find: what came under a key, of any agent unless one is named, with the bytes
SELECT agent, event_key, reason, at, run_id, length(raw) AS kept, raw FROM ignored
WHERE event_key = %(key)s AND (%(agent)s::text IS NULL OR agent = %(agent)s) ORDER BY at DESC, agent, reason;
