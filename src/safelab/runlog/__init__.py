"""A run's directory: what is in it, how it is written and read. Nothing else touches these files."""
