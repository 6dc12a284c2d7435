"""``reward``: what RL sees. It scores texts, and knows nothing of the policy that wrote them."""
