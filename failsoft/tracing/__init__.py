"""The local trace of every attempt, and the links to it."""
