"""``correction``: weights for tokens that another policy sampled than the one before the update."""
