-- fence: the lease behind a write of LangGraph, held until its transaction ends; no row = lost
SELECT run_no FROM runs WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE;

-- fence_progress: the same for a finished step, which forgets crashes (and writes nothing when there were none)
WITH run AS (
  SELECT run_no, crash_count + alone_crashes AS crashes FROM runs
  WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND state = 'running' FOR NO KEY UPDATE),
calm AS (
  UPDATE runs SET crash_count = 0, alone_crashes = 0 FROM run WHERE runs.run_no = run.run_no AND run.crashes > 0)
SELECT run_no FROM run;
