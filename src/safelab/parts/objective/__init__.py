"""``objective``: the policy's loss, token by token. It averages nothing: ``aggregation`` does."""
