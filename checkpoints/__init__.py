"""Everything that must survive."""
