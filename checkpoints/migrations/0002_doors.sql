-- Doors: how far each has read, what it could not read, who wrote, and what was said to whom.

CREATE TABLE cursors (                    -- how far a door has read; written only after what it read is durable
  agent text NOT NULL, door text NOT NULL,   -- door: its kind and what it reads from, without a secret
  value jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (agent, door));

ALTER TABLE ignored ADD COLUMN raw bytea; -- the bytes of what could not be read, cut: a rejection; NULL: read, and it starts nothing

ALTER TABLE outbox ADD COLUMN response jsonb;  -- where a delivered message is: what a later change of it needs

-- How many events of one sender came lately: the guard against two machines that answer each other.
CREATE INDEX runs_sender ON runs ((event->>'sender'), created_at) WHERE event->>'sender' IS NOT NULL;

-- Corrections by people, newest first: the examples of a prompt, the data of rules.
CREATE INDEX reviews_answered ON reviews (answered_at) WHERE state = 'answered';
