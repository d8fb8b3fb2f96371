"""ResilientGraph and the runner."""
