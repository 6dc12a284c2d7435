"""Which modules have their shapes and types checked at run time, in every test."""

from importlib.util import find_spec
from pathlib import Path

GROUPS = ("advantage", "aggregation", "critic", "objective", "preference", "shaping")
"""Groups of parts that compute with tensors: all their modules are checked, with shapes of their own or without."""


def checked_modules() -> list[str]:
    """Modules with shapes in their signatures and those of ``GROUPS``, found without importing any.

    ``Self`` cannot stand in a signature of theirs, because each function is checked without its class.
    """
    root = Path(next(iter(find_spec("safelab").submodule_search_locations)))
    groups = [root / "parts" / group for group in GROUPS]
    return [
        ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for path in sorted(root.rglob("*.py"))
        if path.name != "__init__.py"
        and ("from jaxtyping import" in path.read_text(encoding="utf-8") or any(map(path.is_relative_to, groups)))
    ]
