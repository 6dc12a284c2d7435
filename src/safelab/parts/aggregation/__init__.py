"""``aggregation``: from a loss per token to one loss. What a token's loss is, the objective says."""
