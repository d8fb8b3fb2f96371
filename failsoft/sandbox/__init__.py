"""The simulated outside world: a separate program with real wire formats and seeded faults."""
