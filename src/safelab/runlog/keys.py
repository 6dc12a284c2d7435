"""The keys of a configuration that only name or record a run: changing one of them makes no new arm.

The one list of them: the arm's name, the report's differences and the check before a run goes on all read it.
"""

from collections.abc import Iterable, Sequence

WHICH_RUN = ("experiment", "arm", "seed")
"""They name the run's folder."""

HOW_RECORDED = ("output_dir", "baseline", "threads", "tracker", "checkpoint", "samples", "resume", "limit")
"""A key, or the first part of one. None of them moves a number of the rows, so a run may go on with them changed."""

MAKES_NO_ARM = (*WHICH_RUN, *HOW_RECORDED, "device", "ranks", "policy.sharding", "updates")
"""What two runs of one arm may differ in: also where they run and how long they are to be."""


def not_allowed(changed: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """Those of ``changed`` that ``resume.allow`` names neither themselves nor by a part before a dot."""
    return [key for key in changed if not is_among(key, allowed)]


def is_among(key: str, names: Iterable[str]) -> bool:
    """Whether ``names`` has ``key`` itself or what stands before a dot of it."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def makes_no_arm(key: str) -> bool:
    """Whether ``key``, dotted or a group with slashes, leaves the method as it is."""
    return is_among(key.replace("/", "."), MAKES_NO_ARM)
