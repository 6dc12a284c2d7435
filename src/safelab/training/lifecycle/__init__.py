"""A run from its directory's making to its last line: resume, checkpoints, rollbacks, limits, signals.

What an update computes is not decided here.
"""
