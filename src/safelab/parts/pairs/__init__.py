"""``pairs``: where preference pairs come from, for runs that learn offline."""
