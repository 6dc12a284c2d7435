"""Many jobs: which they are, where each runs, what came of it. What a job computes is ``training``'s business."""
