"""The explicit nodes of an agent, one file each."""
