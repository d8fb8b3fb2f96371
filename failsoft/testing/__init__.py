"""For tests of agents: the pytest plugin."""
