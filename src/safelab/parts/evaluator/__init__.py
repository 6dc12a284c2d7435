"""``evaluator``: a score that is measured beside the reward. Nothing here may be optimised."""
