"""The commands, the demo and the scaffold of a new agent."""
