"""A page of docs/tutorials as steps: the files that it shows, the commands that it gives, and what they print.

A file is a fenced block below a line that holds its name in backquotes. A command is a block of ``bash``. A block of
``text`` that follows one is what it prints: a line ``...`` stands for any lines, ``...`` within a line for any text, a
number for one that is near it, since processors of other makes round otherwise.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FENCE = re.compile(r"(?:^`([\w./]+)`\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+")
ANYTHING = "..."
ABSOLUTE, RELATIVE = 0.06, 0.1
"""How far a decimal number may be from the one that stands on the page."""


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """Lines for the shell, and the lines that it is said to print; empty: nothing is said."""

    text: str
    printed: tuple[str, ...] = ()


def steps(page: str) -> Iterator[File | Command]:
    """Files and commands, in the order of the page."""
    blocks = [match.groups() for match in FENCE.finditer(page)]
    for index, (name, language, text) in enumerate(blocks):
        if name:
            yield File(name, text)
        elif language == "bash":
            after = blocks[index + 1] if index + 1 < len(blocks) else (None, "", "")
            yield Command(text, tuple(after[2].splitlines()) if after[1] == "text" and not after[0] else ())


def agrees(said: str, line: str) -> bool:
    """Whether a line of output is the one that a page states."""
    pieces = re.split(rf"({re.escape(ANYTHING)}|{NUMBER.pattern}|\s+)", said.strip())
    pattern, numbers = "", []
    for piece in pieces:
        if piece == ANYTHING:
            pattern += ".*?"
        elif NUMBER.fullmatch(piece):
            pattern += f"({NUMBER.pattern})"
            numbers.append(float(piece))
        else:
            pattern += r"\s+" if piece.isspace() else re.escape(piece)
    found = re.fullmatch(pattern, line.strip())
    near = zip(numbers, map(float, found.groups() if found else ()), strict=False)
    return bool(found) and all(abs(one - other) <= ABSOLUTE + RELATIVE * abs(one) for one, other in near)


def missing(said: Sequence[str], output: Sequence[str]) -> str | None:
    """The first stated line that the output does not have in its place; None: all are there, in this order."""
    at, free = 0, False
    for line in said:
        if line.strip() == ANYTHING:
            free = True
            continue
        places = range(at, len(output)) if free else range(at, min(at + 1, len(output)))
        place = next((place for place in places if agrees(line, output[place])), None)
        if place is None:
            return line
        at, free = place + 1, False
    return None if free or at == len(output) else f"nothing after line {at}, but there is {output[at]!r}"
