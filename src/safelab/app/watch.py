"""``safelab watch``: see ``safelab.app.runs``."""

from safelab.app.runs import watch

main = watch
"""The name by which the command line finds it."""
