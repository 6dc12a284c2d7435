"""What a report says of a publication beside the runs, as plain values: ``Report.paper``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from safelab.results.estimates import Estimate, Proportion

PaperVerdict = Literal["equivalent", "different", "not decided", "not tested", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """A published number beside the same quantity here, in the unit of the publication.

    ``arm``: of ours; of a ratio both, ``safe over ppo``, which is ``paired`` by seed. ``published_sd``,
    ``published_n``: over their runs, where known. ``crashed``: ours where the quantity is a share of runs.
    ``p_different``, ``p_equivalent``: see ``compare.equivalence``. ``why``: why there is no number of ours, or no test.
    ``note``: what to know to compare it.
    """

    arm: str
    quantity: str
    unit: str
    signed: bool
    digits: int
    published: float
    published_sd: float | None
    published_n: int | None
    place: str
    note: str
    margin: float | None
    paired: bool
    here: Estimate | None = None
    crashed: Proportion | None = None
    difference: Estimate | None = None
    p_different: float | None = None
    p_equivalent: float | None = None
    verdict: PaperVerdict
    why: str = ""


NO_RUN = "no run"
"""What is there of an arm that nobody trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetGap:
    """A key in which runs are not as the publication's preset has them, and the arms for which that holds."""

    key: str
    preset: str
    here: str
    arms: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A publication beside these runs. ``departures``: of our preset from it; ``gaps``: of the runs from our preset.

    ``gaps`` None: there is no preset to compare them with.
    """

    name: str
    title: str
    source: Sequence[str]
    claim: str
    margin_reason: str
    rows: Sequence[PaperRow]
    departures: Sequence[str]
    unread: Sequence[str]
    gaps: Sequence[PresetGap] | None
