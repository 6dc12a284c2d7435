"""The page of the commands: what each says when it is asked for ``--help``."""

import os
import subprocess
import sys
from pathlib import Path

from safelab.app.commands import COMMANDS

CALL = "import sys; sys.argv[0] = 'safelab'; from safelab.app.cli import main; sys.exit(main())"
WIDTH = "100"
BEFORE_THE_KEYS = "== Config =="
"""What ``safelab train --help`` says from here on stands on the pages of the keys."""


def help_of(command: str) -> str:
    """What a command prints for ``--help``."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, command, "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1"},
    )  # fmt: skip
    return done.stdout.split(BEFORE_THE_KEYS)[0].strip()


def page() -> str:
    """All commands, in the order in which ``safelab --help`` lists them."""
    lines = ["# Commands", "", "Each command says this page's text by itself: `safelab COMMAND --help`.", ""]
    for name, (_, text) in COMMANDS.items():
        lines += [f"## `safelab {name}`", "", f"{text[0].upper()}{text[1:]}.", "", "```text", help_of(name), "```", ""]
    return "\n".join(lines) + "\n"


def write(path: Path) -> None:
    """The page, to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")
