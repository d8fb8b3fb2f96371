"""The outside world: one contract, and one file for each system."""
