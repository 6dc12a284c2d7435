"""Whether the site's navigation and its pages are the same: the builder passes over an entry without a page."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

APART = "source/"
"""Pages of this folder are reached through links alone."""


def entries(nav: list[Any]) -> Iterator[str]:
    """The pages that a navigation names, whatever their depth."""
    for entry in nav:
        for place in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(place, list):
                yield from entries(place)
            else:
                yield place


def faults(config: Path, folder: Path) -> list[str]:
    """What is wrong, in words: an entry without a page, a page without an entry."""
    named = set(entries(tomllib.loads(config.read_text(encoding="utf-8"))["project"]["nav"]))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    missing = [f"{config.name} names {page}, which is no page" for page in sorted(named - there)]
    lost = sorted(page for page in there - named if not page.startswith(APART))
    return [*missing, *(f"{config.name} must name {page} in nav" for page in lost)]
