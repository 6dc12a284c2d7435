"""Short names of arms: what long names share is left out, and what is still too long loses its middle."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from safelab.results import text

LONGEST = 32
"""Characters of an arm's name in tables, sentences and pictures; the page's settings have it whole."""

SHARED_FROM = 6
"""Characters from which a common beginning or end is left out."""

BOUNDARY = re.compile(r"[,./=+@~ _-]")
"""Where a name may be parted."""


def shortened(names: Iterable[str], length: int = LONGEST) -> dict[str, str]:
    """A name of at most ``length`` characters for each of ``names``, and no two the same.

    Names that all fit stay as they are. Of others the overrides that all share are left out (``safe,data=text`` beside
    ``ppo,data=text`` is ``safe``), then a common beginning and end; then the middle. Two that would be one by that are
    numbered.
    """
    whole = list(dict.fromkeys(names))
    found = whole
    for shorter in (_without_shared_parts, _without_shared_ends):
        if max(map(len, found), default=0) > length and len(set(tried := shorter(found))) == len(whole):
            found = tried
    return dict(zip(whole, _numbered([text.short(name, length) for name in found], length), strict=True))


def _without_shared_parts(names: Sequence[str]) -> list[str]:
    """Each name without the overrides that all that have any have; what they begin with stays."""
    parts = [name.split(",") for name in names]
    overrides = [set(own[1:]) for own in parts if len(own) > 1]
    shared = set.intersection(*overrides) if len(overrides) > 1 else set()
    return [",".join([own[0], *(part for part in own[1:] if part not in shared)]) for own in parts]


def _without_shared_ends(names: Sequence[str]) -> list[str]:
    """Each name without the beginning and the end that all of them have, up to the nearest boundary."""
    if len(names) < 2:
        return list(names)
    start = _up_to_boundary(_common(names))
    rest = [name[len(start) :] for name in names]
    end = _up_to_boundary(_common([name[::-1] for name in rest]))[::-1]
    before, after = "…" if start else "", "…" if end else ""
    return [f"{before}{name[: len(name) - len(end)]}{after}" for name in rest]


def _common(names: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(names), max(names)
    end = next((place for place, char in enumerate(first) if last[place : place + 1] != char), len(first))
    return first[:end]


def _up_to_boundary(common: str) -> str:
    """``common`` up to its last boundary; nothing where that is too short to be worth a mark."""
    ends = [found.end() for found in BOUNDARY.finditer(common)]
    return common[: ends[-1]] if ends and ends[-1] >= SHARED_FROM else ""


def _numbered(names: Sequence[str], length: int) -> list[str]:
    """The same names, those that come more than once with a number behind."""
    counts, seen, taken = Counter(names), Counter[str](), set(names)
    made = []
    for name in names:
        while counts[name] > 1:
            seen[name] += 1
            mark = f"#{seen[name]}"
            numbered = text.short(name, length - len(mark)) + mark
            if numbered not in taken:
                name = numbered
                taken.add(name)
                break
        made.append(name)
    return made
