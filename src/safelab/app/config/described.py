"""What the files of ``conf/`` say of their keys: the comments that stand beside them, by key."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

LINE = re.compile(r"^(?P<indent>\s*)(?P<key>[\w./]+):(?=\s|$)(?P<rest>.*)$")
"""A key, and what stands behind it."""

BEHIND = re.compile(r"""(?:'[^']*'|"[^"]*"|[^'"])*?(?:\s\#\s*(?P<said>.*))?""")
"""A value and the comment behind it, which begins with a ``#`` after a space and outside quotes."""

DEFAULT = re.compile(
    r"^\s*-\s+(?:optional\s+|override\s+)*/?(?P<group>[\w/]+):\s*(?P<option>\w+)\s*(?:#\s*(?P<said>.*))?$"
)
"""A line of a defaults list."""


def comments(text: str) -> dict[str, str]:
    """The comment of each key of a YAML file, dotted below others; empty where it has none.

    A comment of lines by itself belongs to the key below it, unless it begins the file.
    """
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    waiting: list[str] = []
    begun = False
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            waiting += [line.strip("# \t")] if begun else []
            continue
        begun = True
        if (match := LINE.match(line)) is not None:
            indent = len(match["indent"])
            above = [*[(at, key) for at, key in above if at < indent], (indent, match["key"])]
            behind = BEHIND.fullmatch(match["rest"])
            said = behind["said"] if behind is not None else None
            found[".".join(key for _, key in above)] = said or " ".join(waiting)
        waiting = []
    return {key: said for key, said in found.items() if key.split(".")[0] != "defaults"}


def story(text: str) -> str:
    """What a file says of itself: the comment it begins with, else the one behind its ``name``."""
    lines = [line for line in text.splitlines() if line.strip() and "@package" not in line]
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = " ".join(line.strip("# \t") for line in lines[:first])
    return head or comments(text).get("name", "")


def defaults(text: str) -> Iterator[tuple[str, str, str]]:
    """Group, option and comment of each line of a file's defaults list."""
    for line in text.splitlines():
        if (match := DEFAULT.match(line)) is not None:
            yield match["group"], match["option"], match["said"] or ""


def options(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """The files of a group's options by name, from the first folder that has each."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted((folder / group).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def comments_of(folders: Sequence[Path], group: str, option: str | None) -> dict[str, str]:
    """The comments of a group's keys: as ``option`` has them, else as any of its siblings has."""
    files = options(folders, group)
    chosen = [files[option]] if option in files else []
    merged: dict[str, str] = {}
    for path in [*chosen, *files.values()]:
        for key, said in comments(path.read_text(encoding="utf-8")).items():
            if said and not merged.get(key):
                merged[key] = said
    return merged
