"""Everything that talks to the outside world: one small interface for each kind, one file for each company."""
