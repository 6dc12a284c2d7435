"""Each run by itself: which there are, which count, and the numbers of each. No two arms are compared here."""
