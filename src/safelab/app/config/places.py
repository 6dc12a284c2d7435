"""Folders that safelab uses outside a run's own."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_directory() -> Path:
    """Where the embedded world is kept: $SAFELAB_CACHE, else safelab's folder in the user's cache."""
    if own := os.environ.get("SAFELAB_CACHE"):
        return Path(own).expanduser()
    return user_cache_path("safelab", appauthor=False)
