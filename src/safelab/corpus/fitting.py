"""Whether a run can read the prompts of its data: asked when these are read, never after some updates."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from safelab.contracts import Context
from safelab.errors import DataError

T = TypeVar("T")

PIECE = 2000
"""Records between two words on how far it is."""


def readable(
    items: Sequence[T], read: Callable[[T], object], group: str, skip_unfit: bool, say: Callable[[str], None]
) -> list[T]:
    """The items that ``read`` takes; with ``skip_unfit`` the others are counted and left out.

    Args:
        items: prompts or pairs.
        read: raises a DataError for one that cannot be read.
        group: of the configuration, which has the key ``skip_unfit``.
        skip_unfit: whether the others are left out.
        say: is told how many.

    Raises:
        DataError: an item cannot be read and is not to be left out, or none can be read.
    """
    kept, reasons = [], []
    for number, item in enumerate(items):
        if number and number % PIECE == 0:
            say(f"{group}: reading {number} of {len(items)} prompts")
        try:
            read(item)
        except DataError as error:
            reasons.append(str(error))
        else:
            kept.append(item)
    if not reasons:
        return kept
    count = f"{len(reasons)} of {len(items)} prompts"
    if not skip_unfit or not kept:
        remedy = "" if skip_unfit else f"; {group}.skip_unfit=true leaves out and counts them all"
        raise DataError(
            f"{group} must have prompts that the run can read, and {count} cannot be read: {reasons[0]}{remedy}"
        )
    say(f"{group}: {count} cannot be read and are left out; the first: {reasons[0]}")
    return kept


def reader(context: Context) -> Callable[[str], None]:
    """Has policy and reward, as far as they are there, read a prompt; each prompt once."""
    seen: set[str] = set()

    def read(prompt: str) -> None:
        if prompt in seen:
            return
        if context.policy is not None:
            context.policy.count_tokens(prompt)
        # A reward that a user's own build gives may be any object with ``score``.
        if (check := getattr(context.reward, "check_prompt", None)) is not None:
            check(prompt)
        seen.add(prompt)

    return read
