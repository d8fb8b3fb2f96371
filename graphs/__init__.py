"""ResilientGraph, and the runner that drives one run to its next rest."""
