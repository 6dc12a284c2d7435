"""What counts as a crash: one file per kind, and one table of them all.

Each definition is a fold over the rows of ``metrics.jsonl``: plain numbers in, a flag out. Nothing here knows tensors,
files or configurations, and nothing elsewhere defines a crash or lists the kinds.
"""
