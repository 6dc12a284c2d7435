"""What the guards watch: numbers that must stay finite, crashes by the report's definitions, a ceiling of the KL."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from safelab.contracts import Guard
from safelab.crash.table import KINDS
from safelab.errors import RunFailed, nearest


def _kind(name: str) -> str:
    known = [kind.name for kind in KINDS]
    if name not in known:
        raise ValueError(f"must name a kind of crash, got {name!r}: {nearest(name, known)}")
    return name


class Watch(Guard):
    """``metrics``: names as in ``metrics.jsonl`` that must stay finite. ``crashes``: flags of a row that must stay 0.

    ``kl_ceiling``: highest exact KL to the reference, in nats per response token; None for none.
    """

    metrics: Annotated[list[str], Field(min_length=1)]
    crashes: list[Annotated[str, AfterValidator(_kind)]]
    kl_ceiling: Annotated[float, Field(gt=0)] | None

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """What is wrong with a row, and at which update; the first that is found.

        Raises:
            RunFailed: a watched metric is not in the row, so that it would be watched in vain.
        """
        for name in self.metrics:
            if name not in row and of_another_kind(name, row):
                continue
            if name not in row:
                raise RunFailed(f"guard.metrics must name metrics of this run, got {name!r}: {nearest(name, row)}")
            value = row[name]
            if value is not None and not math.isfinite(value):
                return f"{name} was {value} at update {row['update']}"
        for crash in self.crashes:
            if row.get(f"crash/{crash}"):
                return f"crash/{crash} began at update {row['update']}"
        kl = row["kl/ref_token_exact"]
        if self.kl_ceiling is not None and kl > self.kl_ceiling:
            return f"kl/ref_token_exact was {kl:.3g}, above {self.kl_ceiling:g}, at update {row['update']}"
        return None


OF_PASSES = ("policy/loss", "kl/old_token_k3")
"""Metrics of the passes over a rollout, which a run that learns from pairs, or by votes, does not make."""


def of_another_kind(name: str, row: Mapping[str, Any]) -> bool:
    """Whether runs of the row's kind have no such metric: the defaults serve those without critic or passes, too."""
    groups = {key.split("/")[0] for key in row}
    return (name.startswith("critic/") and "critic" not in groups) or (
        name in OF_PASSES and not groups.isdisjoint({"preference", "oracle"})
    )
