"""``controller/reference``: what the KL penalty is to: the start, or a copy that follows the policy."""
