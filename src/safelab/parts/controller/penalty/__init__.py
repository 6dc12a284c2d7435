"""``controller/penalty``: what a KL above, or beside, the threshold costs. It remembers nothing."""
