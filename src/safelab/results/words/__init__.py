"""The result in words and in a terminal's table: what differs, how sure that is, what cannot be said."""
