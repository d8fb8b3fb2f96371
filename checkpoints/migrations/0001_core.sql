-- The durable core. Postgres >= 14.
-- Lock order of every statement: workers -> runs (by run_id) -> rows of a run -> budgets. Gates alone in their own transaction.

CREATE TABLE workers (                    -- one row a process; the heartbeat updates this row and no index (HOT)
  worker_id  uuid PRIMARY KEY,
  name       text NOT NULL,               -- host and pid, for people
  expires_at timestamptz NOT NULL,
  gone_at    timestamptz                  -- set by the sweeper or at a clean exit; final: no heartbeat revives it
) WITH (fillfactor = 50);

CREATE TABLE runs (                       -- inbox and work list; narrow, because claim and settle rewrite the row
  run_id      uuid PRIMARY KEY,           -- uuid5(agent, event key): this index IS the dedupe
  run_no      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- children hang on it: random keys quintuple the WAL at scale
  lane        text NOT NULL,              -- agent@graph_version: what a worker can drive
  agent       text NOT NULL,
  event_key   text NOT NULL,
  state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'parked', 'done', 'dead', 'cancelled')),
  due_at      timestamptz DEFAULT now(),  -- queued, parked: not before; NULL: only a person wakes it; never set while running
  worker_id   uuid,
  epoch       int  NOT NULL DEFAULT 0,    -- +1 at each claim AND when a lease is taken away
  wakes       int  NOT NULL DEFAULT 0,    -- +1 for each answer; a park that saw an older number is due at once
  crash_count smallint NOT NULL DEFAULT 0,   -- since the last progress
  alone_crashes smallint NOT NULL DEFAULT 0, -- crashes while driven alone, since the last progress
  alone       boolean NOT NULL DEFAULT false,
  cancel_asked boolean NOT NULL DEFAULT false,
  dry_run     boolean NOT NULL DEFAULT false,
  model_calls int NOT NULL DEFAULT 0,     -- the run's budget: checked in the same update that fences
  tokens      bigint NOT NULL DEFAULT 0,
  usd_micros  bigint NOT NULL DEFAULT 0,
  audit_seq   int NOT NULL DEFAULT 0,     -- head of the chain: fence and chain are one HOT update
  audit_head  bytea NOT NULL,
  replay_of   uuid,
  outcome     text,                       -- the graph's own last word: done, ignored, unclassified ...
  reason      text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  event       jsonb NOT NULL,
  CHECK ((state = 'running') = (worker_id IS NOT NULL))
) WITH (fillfactor = 80, toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- The event lives out of line (toast_tuple_target): the hot row stays small however long the message was.
CREATE INDEX runs_due     ON runs (lane, due_at) WHERE state IN ('queued', 'parked') AND due_at IS NOT NULL;
CREATE INDEX runs_running ON runs (worker_id)    WHERE state = 'running';
CREATE INDEX runs_dead    ON runs (updated_at)   WHERE state = 'dead';

CREATE TABLE ignored (                    -- what came in and started nothing, with its reason: nothing is dropped silently
  agent text NOT NULL, event_key text NOT NULL, reason text NOT NULL,
  run_id uuid,                            -- the run that it joined, if any
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (agent, event_key, reason));

CREATE TABLE attempts (                   -- one ainvoke of a run
  run_no bigint NOT NULL, trace_id uuid NOT NULL, epoch int NOT NULL, started_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_no, trace_id));

CREATE TABLE parks (
  run_no bigint NOT NULL, interrupt_id text NOT NULL, kind text NOT NULL CHECK (kind IN ('timer', 'person')),
  due_at timestamptz, review_id text, CHECK (due_at IS NOT NULL OR review_id IS NOT NULL),
  PRIMARY KEY (run_no, interrupt_id));
CREATE INDEX parks_review ON parks (review_id) WHERE review_id IS NOT NULL;

CREATE TABLE effects (
  transaction_id text PRIMARY KEY,
  run_no bigint NOT NULL, node text NOT NULL, item_key text NOT NULL DEFAULT '', generation int NOT NULL DEFAULT 1,
  operation text NOT NULL,                -- connector.operation
  request jsonb NOT NULL, request_hash text NOT NULL,
  mark jsonb NOT NULL DEFAULT '{}',       -- what find() must know from before the send
  state text NOT NULL CHECK (state IN ('in_flight', 'waiting', 'done', 'failed', 'unknown', 'needs_human')),
  epoch int NOT NULL, attempts int NOT NULL DEFAULT 1, unknown_rounds int NOT NULL DEFAULT 0,
  was_unknown boolean NOT NULL DEFAULT false,  -- what the sweep for late duplicates looks at
  send_deadline timestamptz NOT NULL, settle_seconds real NOT NULL,
  external_id text, response jsonb, reason text,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (run_no, node, item_key, generation)
) WITH (fillfactor = 80);

CREATE TABLE model_calls (                -- reserved before the call, settled after it: spend survives a crash
  call_id uuid PRIMARY KEY, run_no bigint NOT NULL, epoch int NOT NULL,
  call_key text NOT NULL,                 -- node and prompt hash: a durable answer is not asked for again
  model text NOT NULL,                    -- provider:model
  state text NOT NULL DEFAULT 'reserved' CHECK (state IN ('reserved', 'answered', 'refused')),
  -- reserved for ever = unanswered: the reservation counts, as a flagged estimate; refused = surely not executed, costs nothing
  reserved_tokens int NOT NULL, reserved_micros bigint NOT NULL,
  input_tokens int, output_tokens int, micros bigint, answer jsonb, estimated boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 80);
CREATE INDEX model_calls_run ON model_calls (run_no, call_key);

CREATE TABLE reviews (
  review_id text PRIMARY KEY, run_no bigint NOT NULL, node text NOT NULL,
  transaction_id text,                    -- the effect that it is about, if any
  question jsonb NOT NULL, allowed text[] NOT NULL,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'expired')),
  answer jsonb, answered_by text, answered_at timestamptz,
  step_seconds real NOT NULL, escalate_at timestamptz, escalations text[] NOT NULL DEFAULT '{}', level int NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX reviews_open ON reviews (escalate_at) WHERE state = 'open';
CREATE INDEX reviews_run ON reviews (run_no);

CREATE TABLE outbox (
  outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, idempotency_key text NOT NULL UNIQUE, run_no bigint,
  channel text NOT NULL, body jsonb NOT NULL,
  due_at timestamptz DEFAULT now(),       -- pending: not before, or end of a delivery lease; NULL: delivered or given up
  attempts int NOT NULL DEFAULT 0, delivered_at timestamptz, reason text);
CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE audit_event (
  run_no bigint NOT NULL, seq int NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id(), body bytea NOT NULL, hash bytea NOT NULL,
  PRIMARY KEY (run_no, seq));
CREATE INDEX audit_event_xid ON audit_event (xid);

CREATE UNLOGGED TABLE gates (             -- a server crash empties it, and the next call starts anew
  key text PRIMARY KEY, tat timestamptz NOT NULL DEFAULT '-infinity', cooldown_until timestamptz NOT NULL DEFAULT '-infinity',
  leases timestamptz[] NOT NULL DEFAULT '{}') WITH (fillfactor = 10);
