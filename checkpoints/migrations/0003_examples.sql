-- What people corrected: the labelled examples of an agent.

CREATE TABLE examples (
  example_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  agent text NOT NULL, run_no bigint NOT NULL, review_id text NOT NULL,
  text text NOT NULL,                     -- of a stranger, cut; never in the audit chain, so deleting the row erases it
  text_hash bytea NOT NULL,               -- sha256 of the whole text: the same text has one label, the newest
  label text NOT NULL,
  proposed text,                          -- the label that the person refused; NULL: nobody could tell
  actor text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (agent, text_hash));
CREATE INDEX examples_newest ON examples (agent, at DESC);
