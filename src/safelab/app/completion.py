"""Shell completion of ``safelab ...``: its commands are ours, and the overrides after them are Hydra's."""

import os
from collections.abc import Sequence

from safelab.app.commands import COMMANDS

COMPOSING = ("train", "replay", "audit", "pretrain")
"""Commands that take overrides."""


def main(arguments: Sequence[str]) -> int:
    """Answer ``safelab -sc install=bash`` and the query that the installed function makes at every Tab."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if any(argument.startswith("query=") for argument in arguments):
        if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
            print(" ".join(sorted(name for name in COMMANDS if name.startswith("".join(words[1:])))))
            return 0
        if words[1] not in COMPOSING:
            return 0
        # Hydra's plugins strip one word, the program's name.
        os.environ["COMP_LINE"] = line.replace(words[1], "", 1)
    from safelab.app.commands.train import main as train

    return train(["-sc", *arguments])
