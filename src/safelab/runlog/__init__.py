"""The run directory: its schema, its writer, its reader. Nobody else writes or parses these files."""
