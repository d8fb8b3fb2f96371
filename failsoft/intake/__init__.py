"""Doors: what comes in becomes an event, and is admitted before its source is acknowledged."""
