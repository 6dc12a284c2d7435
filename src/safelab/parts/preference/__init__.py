"""``preference``: the loss on a preference pair, for runs that learn offline."""
