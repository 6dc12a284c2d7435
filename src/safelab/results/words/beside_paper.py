"""A publication beside these runs, in words and in cells of a table: as much as the tests allow, and no more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from safelab.results import text
from safelab.results.estimates import Estimate
from safelab.results.paper_model import NO_RUN, Paper, PaperRow, PresetGap
from safelab.results.published.read import SHARE_OF_RUNS

HOW = (
    "Equivalent: two one-sided tests (TOST) at 5 % find the difference within the margin, which was set beforehand. "
    "Different: a two-sided test at 5 % finds a difference, which may still be smaller than the margin. "
    "Not decided: neither, which is no evidence that they agree. Tests are Student's against a number without a "
    "deviation (taken as exact), Welch's where it comes with deviation and runs, Fisher's for shares of runs; ratios "
    "are geometric means over paired seeds, tested as logarithms. Each row is a test of its own, not corrected for "
    "their number."
)
"""Under every such table."""

MOST_GAPS = 12
"""Keys that a sentence names before it counts the rest."""

TELLING = ("seed", "arm", "updates", ".path", ".name")
"""Ends of the keys that are named first."""

POINTS = "points"

PLAIN = ("", "share", SHARE_OF_RUNS)
"""Units that a number goes without."""

HEADS = ("Arm", "Quantity", "Published", "Here", "Difference", "Margin", "Verdict", "Read in")


def cells(row: PaperRow) -> tuple[str, ...]:
    """A row of the table, see ``HEADS``."""
    quantity = f"{row.quantity} ({row.note})" if row.note else row.quantity
    return (row.arm, quantity, published(row), here(row), difference(row), margin(row), verdict(row), row.place)


def published(row: PaperRow) -> str:
    """``+64.7 % (SD 1.2, 4 runs)``; of what is no ratio without its sign."""
    return published_number(row.published, row.unit, row.published_sd, row.published_n, row.signed)


def published_number(value: float, unit: str, sd: float | None, n: float | None, signed: bool = False) -> str:
    """``64.7 % (SD 1.2, 4 runs)``, ``30 % of runs (10 runs)``: with the digits that it was published with."""
    runs = "" if n is None else text.runs(int(n))
    deviation = "" if sd is None else f"SD {sd:g}"
    more = ", ".join(part for part in (deviation, runs) if part)
    if unit == SHARE_OF_RUNS:
        shown = f"{100 * value:g} % of runs"
    else:
        shown = with_unit((f"{value:+g}" if signed else f"{value:g}").replace("-", text.MINUS), unit)
    return f"{shown}{f' ({more})' if more else ''}"


def here(row: PaperRow) -> str:
    """``+20.0 % [+18.1, +21.9] (3 paired seeds)``, ``1 of 3 runs (1 to 91 %)``, or a dash."""
    if row.crashed is not None:
        rate = text.rate(row.crashed)
        return f"{text.crashed(row.crashed)} runs{f' ({rate})' if rate else ''}"
    if row.here is None:
        return text.NOTHING
    n = row.here.n
    runs = f"{n} paired seed{'s' * (n != 1)}" if row.paired else text.runs(n)
    return f"{_estimate(row.here, row, row.signed)} ({runs})"


def difference(row: PaperRow) -> str:
    """Ours minus the published; of a change in per cent, in points."""
    if row.difference is None:
        return text.NOTHING
    if row.crashed is not None and row.difference.mean is not None:
        return f"{text.number(100 * row.difference.mean, 0, signed=True)} {POINTS}"
    return _estimate(row.difference, in_points(row), signed=True)


def margin(row: PaperRow) -> str:
    """``±0.05``."""
    return text.NOTHING if row.margin is None else f"±{with_unit(f'{row.margin:g}', in_points(row).unit)}"


def verdict(row: PaperRow) -> str:
    """The answer with the p that it rests on."""
    tost = "" if row.p_equivalent is None else f"TOST {text.p_value(row.p_equivalent)}"
    gap = f"difference {text.p_value(row.p_different)}"
    if row.verdict == "equivalent":
        return f"equivalent ({tost})"
    if row.verdict in ("different", "not decided"):
        return (
            f"{row.verdict} ({'; '.join(part for part in (gap, tost or NO_MARGIN[row.crashed is not None]) if part)})"
        )
    return f"{row.verdict}: {row.why}"


NO_MARGIN: Mapping[bool, str] = {False: "no margin was set", True: ""}
"""What is said in place of the test of equivalence; for shares of runs there is none."""


def in_points(row: PaperRow) -> PaperRow:
    """The row with the unit of a difference: of per cent that is points."""
    return replace(row, unit=POINTS) if row.unit == "%" else row


def with_unit(value: str, unit: str) -> str:
    """The value with its unit, but for one that the cell says anyhow."""
    return value if unit in PLAIN else f"{value} {unit}"


def summary(paper: Paper) -> list[str]:
    """What the table comes to, a sentence each; the first one counts the verdicts."""
    counts = {kind: [row for row in paper.rows if row.verdict == kind] for kind in KINDS}
    counted = ", ".join(f"{len(rows)} {KINDS[kind]}" for kind, rows in counts.items() if rows)
    rows = f"{len(paper.rows)} comparison{'s' * (len(paper.rows) != 1)} with published numbers"
    said = [f"Beside {paper.title} ({paper.source[0]}): of {rows}, {counted}."]
    return [*said, *gaps_said(paper)]


KINDS: Mapping[str, str] = {
    "equivalent": "equivalent",
    "different": "different",
    "not decided": "not decided",
    "not tested": "not tested",
    "not measured": "without a measure here",
}
"""Verdict -> how a count of it is said."""


def gaps_said(paper: Paper) -> list[str]:
    """How far these runs are from the preset, in a sentence."""
    if paper.gaps is None:
        return []
    if not paper.gaps:
        return [f"These runs are as the preset {paper.name} has them."]
    keys = sorted(dict.fromkeys(gap.key for gap in paper.gaps), key=lambda key: not key.endswith(TELLING))
    shown = text.listed(keys, MOST_GAPS)
    return [
        f"These runs are not as the preset {paper.name} has them, in {len(keys)} "
        f"key{'s' * (len(keys) != 1)}: {shown}. So far they are another experiment."
    ]


def departures(paper: Paper) -> Sequence[str]:
    """What differs from the publication: in the preset, then in these runs beyond it, then what could not be read."""
    gaps = [f"From the preset: {gap_said(gap)}" for gap in paper.gaps or ()]
    return [*paper.departures, *gaps, *(f"Not read: {line}" for line in paper.unread)]


def gap_said(gap: PresetGap) -> str:
    """``updates 2 in place of 1024 (ppo, rloo)``."""
    if gap.here == NO_RUN:
        return f"no run of {text.listed(gap.arms)}"
    return f"{gap.key} {gap.here} in place of {gap.preset} ({', '.join(gap.arms)})"


def _estimate(found: Estimate, row: PaperRow, signed: bool) -> str:
    value = with_unit(text.number(found.mean, row.digits, signed), row.unit)
    return f"{value} {text.interval(found.low, found.high, row.digits, signed)}".strip()
