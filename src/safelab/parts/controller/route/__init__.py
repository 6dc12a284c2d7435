"""``controller/route``: how the penalty reaches the policy. It decides no strength."""
