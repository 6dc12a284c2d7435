"""Stops nothing: crashes are data, and are counted afterwards."""

from collections.abc import Mapping
from typing import Any

from safelab.contracts import Context
from safelab.options import Options as BaseOptions


class Options(BaseOptions):
    """No parameters."""

    name: str


def build(options: Options, context: Context) -> "NoGuard":
    """A guard without objections."""
    return NoGuard()


class NoGuard:
    """``contracts.Guard``."""

    remedy = None

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """None."""
        return None
