"""Folders that a whole test session shares."""

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp


def scratch(name: str) -> Path:
    """A folder that is removed when this process ends."""
    directory = Path(mkdtemp(prefix=f"safelab-{name}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
