"""What a tracker is shown: the rows of ``metrics.jsonl`` that no rollback takes back any more, each once, in order."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safelab.contracts import Mirror
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint, recovery
from safelab.training.state import TrainState

Record = Mapping[str, Any]
"""A row of ``metrics.jsonl``, or a line of ``samples.jsonl``."""


class Mirrored:
    """Holds rows back while the guard may go behind them: what a mirror was shown cannot be taken back.

    Without ``guard=rollback`` every row is shown at once; with it, rows before the oldest checkpoint are.
    """

    def __init__(
        self,
        mirror: Mirror,
        parts: Components,
        checkpoints: Path,
        rows: Sequence[Record],
        samples: Sequence[Record] = (),
    ) -> None:
        """``rows`` and ``samples``: what an earlier process made; the mirror of this one is shown it, too."""
        self._mirror = mirror
        self._parts = parts
        self._checkpoints = checkpoints
        self._held = [*rows]
        self._samples: dict[int, list[Record]] = {}
        for record in samples:
            self._samples.setdefault(record["update"], []).append(record)

    def add(self, row: Record, samples: Sequence[Record] = ()) -> None:
        """One more row, which stands last in ``metrics.jsonl``, and what the policy wrote at that update."""
        self._held.append(row)
        if samples:
            self._samples[row["update"]] = [*samples]

    def cut(self, next_update: int) -> None:
        """The rows from ``next_update`` on are made again."""
        self._held = [row for row in self._held if row["update"] < next_update]
        self._samples = {update: found for update, found in self._samples.items() if update < next_update}

    def show(self, state: TrainState, *, ended: bool = False) -> None:
        """Hand on what is final by now; once the run has ``ended``, all."""
        limit = math.inf
        if not ended and recovery.may_roll_back(self._parts, state):
            there = checkpoint.checkpoints_in(self._checkpoints)
            limit = checkpoint.update_of(there[0]) if there else 0
        while self._held and self._held[0]["update"] < limit:
            row = self._held.pop(0)
            self._mirror.log(row)
            if (samples := self._samples.pop(row["update"], None)) is not None:
                self._mirror.samples(row["update"], samples)
