"""Folders that a whole test session shares."""

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp

NO_CACHE = Path("/dev/null/cache")
"""A cache that cannot be made: a test that would train the embedded world at full size fails instead of dawdling."""


def scratch(name: str) -> Path:
    """A folder that is removed when this process ends."""
    directory = Path(mkdtemp(prefix=f"safelab-{name}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
