"""The explicit nodes."""
