"""Command lines of the commands that are not Hydra's: mistakes are one message and exit code 2."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

from safelab.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise ConfigError(f"{self.prog}: {message}; {self.prog} --help says more")


def at_home(value: str) -> str:
    """A path or a pattern, ``~`` in front as the home folder: of ``--output=~/x`` a shell leaves it as it is."""
    path = os.path.expanduser(value)
    if path.startswith("~"):
        raise argparse.ArgumentTypeError(f"must not begin with ~ but for a user's home folder, got {value!r}")
    return path


def place(value: str) -> Path:
    """A path, as argparse's ``type``."""
    return Path(at_home(value))


def of_a_run(prog: str, description: str) -> Parser:
    """A parser that begins with what every command on a run's directory takes: the directory, and ``--trust``."""
    made = Parser(prog=prog, description=description)
    made.add_argument("run", type=place, metavar="RUN", help="a run directory")
    made.add_argument("--trust", action="store_true", help="it may import code and call servers, as config.yaml says")
    return made


def positive(value: str) -> int:
    """A whole number from 1, as argparse's ``type``."""
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {value!r}")
    return int(value)
