"""What a person sees while something slow is made: a live bar on a terminal, plain lines elsewhere."""

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from safelab.errors import printable, printable_lines

ARROW = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
COUNTED = re.compile(r"(\d+) of (\d+)")


def speak_anywhere(encoding: str | None = None) -> None:
    """Have what the terminal cannot show (its locale may be ASCII) written as ``\\u00fc``, where Python would raise.

    Args:
        encoding: of standard output and error; None leaves it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a test's or a notebook's may be none
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function that shows a text in place of the one before; ``3 of 10`` in it moves the bar.

    On standard error, so that output can be piped.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: console.print(printable_lines(text), highlight=False, markup=False, soft_wrap=True)
        return
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(text: str) -> None:
            counted = COUNTED.search(text)
            done, total = map(int, counted.groups()) if counted else (0, None)
            bar.update(task, description=printable_lines(text), completed=done, total=total, visible=True)

        yield show


def one_line(text: str) -> str:
    """``text`` of a model or a prompt for one line of the terminal, each line break a mark that can be seen."""
    return line_break().join(map(printable, text.replace("\r\n", "\n").split("\n")))


def line_break() -> str:
    """An arrow where standard output can show one, else ``\\n``."""
    try:
        ARROW.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "\\n"
    return ARROW
