"""The group `evaluator`."""
