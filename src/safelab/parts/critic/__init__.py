"""``critic``: value heads on the policy's hidden states. Returns are made by ``advantage``."""
