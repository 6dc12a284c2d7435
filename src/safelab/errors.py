"""The exceptions that a user may meet: each is one message, and the command line ends with code 2 (user) or 1 (run)."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


class SafelabError(Exception):
    """Whatever safelab raises on purpose."""

    exit_code = 1


class UserError(SafelabError):
    """The user asked for something that cannot be had; the message names key, rule, value and remedy."""

    exit_code = 2


class ConfigError(UserError):
    """A key, type, value or combination in the configuration is wrong."""


class DataError(UserError):
    """A file, directory or record that the user named cannot be used."""


class RunFailed(SafelabError):
    """A run started properly and cannot go on (a non-finite loss, a reward that raises)."""


class OwnCodeFailed(RunFailed):
    """Code of the user's own raised, or answered what it must not: theirs to mend."""

    exit_code = 2


class Diverged(RunFailed):
    """A loss, gradient, weight or probability is not finite, or a guard objects to a row: training went wrong."""


class RankLost(RunFailed):
    """Another process of the same run is gone; the last checkpoint stands."""


class EngineFailed(RunFailed):
    """The engine that writes the rollouts died, or could not do what it was asked; the run's last checkpoint stands."""


class OutputFailed(RunFailed):
    """A run's own files cannot be written, however often it was tried; its last checkpoint stands."""


class RewardFailed(RunFailed):
    """No reward could be had for a batch; no weight has moved since the last update.

    ``batch``: the prompts and responses that were to be scored. ``own``: whether the user's own code is at fault.
    """

    def __init__(self, message: str, batch: Mapping[str, Sequence[Any]], *, own: bool = False) -> None:
        super().__init__(message)
        self.batch, self.own = batch, own
        self.exit_code = OwnCodeFailed.exit_code if own else RunFailed.exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        # Told to the other processes of a run by pickle, which knows of no keyword.
        return _reward_failed, (str(self), self.batch, self.own)


def _reward_failed(message: str, batch: Mapping[str, Sequence[Any]], own: bool) -> RewardFailed:
    return RewardFailed(message, batch, own=own)


def printable(text: str) -> str:
    """``text`` with every control character replaced: it goes to terminals and into SVG, which forbid them."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def printable_lines(text: str) -> str:
    """The same, its line breaks kept."""
    return "\n".join(map(printable, lines_of(text)))


def lines_of(text: str) -> list[str]:
    """The lines of ``text``, without the empty one after a last line break.

    They end at ``\\n`` or ``\\r\\n`` only: ``str.splitlines`` would also cut inside a record, at U+2028 for one.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the closest known one, if any, and the list of them all.

    Args:
        name: what the user wrote.
        known: what exists.

    Returns:
        ``"did you mean 'gae'? known: gae, sequence_bandit"``.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    listed = names if len(names) <= LISTED else get_close_matches(name, names, n=LISTED // 4, cutoff=0.0)
    rest = f" and {len(names) - len(listed)} more" if len(names) > LISTED else ""
    return f"{guess}known: {', '.join(listed)}{rest}"


LISTED = 60
"""Known names that a message lists in full; of more than these only the nearest."""
