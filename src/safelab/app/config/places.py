"""Folders that safelab uses outside a run's own."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Where the embedded world is kept: $SAFELAB_CACHE, else safelab's folder in the user's cache."""
    if own := os.environ.get("SAFELAB_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "safelab"
