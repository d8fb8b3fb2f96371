-- read: how far a door has read
SELECT value FROM cursors WHERE agent = %(agent)s AND door = %(door)s;

-- store: remember it from now on
INSERT INTO cursors (agent, door, value) VALUES (%(agent)s, %(door)s, %(value)s)
ON CONFLICT (agent, door) DO UPDATE SET value = excluded.value, updated_at = now();
