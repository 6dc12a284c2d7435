"""Ends a run that is lost: a number that is not finite, a crash by the report's own definitions, too high a KL."""

from safelab.parts.guard._watch import Watch


class Stop(Watch):
    """What is watched, and no more."""
