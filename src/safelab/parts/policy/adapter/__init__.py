"""``policy/adapter``: which weights of the policy train."""
