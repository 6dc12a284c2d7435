"""Command lines of the commands that are not Hydra's: mistakes are one message and exit code 2."""

import argparse
from typing import NoReturn

from safelab.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise ConfigError(f"{self.prog}: {message}; {self.prog} --help says more")


def positive(value: str) -> int:
    """A whole number from 1, as argparse's ``type``."""
    if not value.isdigit() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {value!r}")
    return int(value)
