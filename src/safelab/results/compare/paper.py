"""``--paper NAME``: published numbers beside the same quantities of these runs, and whether they agree."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from safelab.errors import DataError
from safelab.results import text
from safelab.results.compare.against_baseline import log_ratios
from safelab.results.compare.aggregate import Values
from safelab.results.compare.equivalence import ALPHA, SAME, Answer, against_runs, against_value, verdict
from safelab.results.compare.preset_gaps import Preset, preset_gaps
from safelab.results.compare.scales import SCALES, through
from safelab.results.compare.statistics import estimate, fisher_p
from safelab.results.estimates import Estimate, Proportion
from safelab.results.model import ArmRow, Measure
from safelab.results.paper_model import Paper, PaperRow
from safelab.results.published.read import CRASH, DIVERGED, Number, Publication
from safelab.results.runs.config import uneven
from safelab.results.runs.load import RunSet

NO_MEASURE = "no measure of ours is the same"
ONE_RUN = "a single run"
NO_VARIATION = "runs that do not vary"
TOO_LARGE = "values too large for a deviation"

UNFIT: Mapping[str, Callable[[float | None], bool]] = {
    "missing": lambda value: value is None or math.isnan(value),
    "not finite": lambda value: value is not None and math.isinf(value),
    "not positive": lambda value: value is not None and value <= 0,
}
"""What keeps a run's value out of a ratio. Left out silently, the runs that did worst would leave the test."""

UNFIT_LEVEL = ("missing", "not finite")
"""What keeps it out of a mean over runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What these runs have: arms by the name that they were trained under, each run's values, measures by key.

    ``uneven``: arms of which the runs that count differ in more than their seeds.
    """

    arms: Mapping[str, ArmRow]
    values: Values
    measures: Mapping[str, Measure]
    uneven: Collection[str]


def metrics_of(publication: Publication, columns: Sequence[str]) -> list[str]:
    """The logged metrics, of those that the runs have, that a publication's numbers are compared with."""
    keys = dict.fromkeys(number.measure[0] for number in publication.numbers)
    return [key for key in keys if key in columns and not key.startswith(CRASH)]


def beside_paper(
    publication: Publication | None,
    preset: Preset | None,
    loaded: RunSet,
    arms: Sequence[ArmRow],
    values: Values,
    measures: Sequence[Measure],
) -> Paper | None:
    """A publication, its numbers beside ours, and how far these runs are the ones that its preset trains.

    Raises:
        DataError: none of its arms is among the runs.
    """
    if publication is None:
        return None
    about = publication.about
    counted = RunSet(runs=[run for run in loaded.runs if run.counted], unreadable=())
    here = Here(
        arms={arm.whole: arm for arm in arms},
        values=values,
        measures={measure.key: measure for measure in measures},
        uneven=uneven(counted),
    )
    return Paper(
        name=publication.name,
        title=about.title,
        source=about.source,
        claim=about.claim,
        margin_reason=about.margin_reason,
        rows=paper_rows(publication, here),
        departures=about.departures,
        unread=about.unread,
        gaps=None if preset is None else preset_gaps(loaded, preset),
    )


def paper_rows(publication: Publication, here: Here) -> list[PaperRow]:
    """A row for each published number, for each choice of arms that may stand for the published ones.

    Raises:
        DataError: none of the arms is among the runs.
    """
    rows = [_row(number, cast, here) for cast in _casts(publication, here.arms) for number in publication.numbers]
    return list(dict.fromkeys(rows))


def _casts(publication: Publication, arms: Mapping[str, ArmRow]) -> list[Mapping[str, str]]:
    """Who stands for whom: each choice of arms that all have runs, else those of which some have.

    Where nothing is said, each arm stands for itself. What then has no run is told row by row.
    """
    numbers = publication.numbers
    itself = {arm: arm for number in numbers for arm in number.arms}
    wanted = publication.about.stands_for or [itself]
    counted = {name for name, arm in arms.items() if arm.counted}
    whole = [cast for cast in wanted if counted.issuperset(cast.values())]
    there: list[Mapping[str, str]] = [*(whole or [cast for cast in wanted if counted.intersection(cast.values())])]
    if not there and any(number.metric for number in numbers):
        needed = ", or ".join(" and ".join(cast.values()) for cast in wanted)
        raise DataError(f"--paper {publication.name} needs runs of the arms {needed}; got {', '.join(arms)}")
    return there or [itself]


def _row(number: Number, cast: Mapping[str, str], here: Here) -> PaperRow:
    names = [cast[arm] for arm in number.arms]
    found = PaperRow(
        arm=" over ".join(names),
        quantity=number.quantity,
        unit=number.unit,
        signed=len(names) > 1 and number.unit == "%",
        digits=max(1, _decimals(number.value)),
        published=number.value,
        published_sd=number.sd,
        published_n=None if number.n is None else int(number.n),
        place=number.place,
        note=number.note,
        margin=number.margin,
        paired=len(names) > 1,
        verdict="not measured",
    )
    key, _ = number.measure
    absent = [name for name in names if name not in here.arms or not here.arms[name].counted]
    if not key:
        return replace(found, why=NO_MEASURE)
    if absent:
        return replace(found, why=f"no run of {' and '.join(absent)} counts here")
    row = _compared(found, number, [here.arms[name] for name in names], here)
    mixed = [name for name in names if here.arms[name].name in here.uneven]
    if not mixed or row.verdict == "not measured":
        return row
    whose = f"runs of {text.listed(mixed)}" if row.paired else "its runs"
    return _untested(row, f"{whose} are no repetitions")


def _compared(found: PaperRow, number: Number, arms: Sequence[ArmRow], here: Here) -> PaperRow:
    """The row with what is here, and its test, as if the runs of an arm were repetitions."""
    key, _ = number.measure
    if number.counts_runs:
        return _share(found, number, arms[0])
    if key not in here.measures:
        return replace(found, why=f"these runs do not log {key}")
    return _ratio(found, number, arms, here) if len(arms) > 1 else _level(found, number, arms[0], here)


def _share(found: PaperRow, number: Number, arm: ArmRow) -> PaperRow:
    """Runs that crashed, or diverged, by Fisher's exact test; there is no test of equivalence for it."""
    key, _ = number.measure
    own: Proportion | None = arm.diverged if key == DIVERGED else arm.crashed.get(key)
    if own is None or own.n == 0:
        return replace(found, why=f"these runs did not look for {key}")
    found = replace(found, crashed=own, difference=Estimate(n=own.n, mean=own.k / own.n - number.value), margin=None)
    if number.n is None:
        return replace(found, verdict="not tested", why="published without the number of runs")
    n = int(number.n)
    p = fisher_p(own.k, own.n, round(number.value * n), n)
    return replace(found, verdict="different" if p < ALPHA else "not decided", p_different=p)


def _level(found: PaperRow, number: Number, arm: ArmRow, here: Here) -> PaperRow:
    """A mean over seeds, in the unit of the publication."""
    key, power = number.measure
    measure = here.measures[key]
    share = number.unit == "%" and (measure.least, measure.greatest) == (0.0, 1.0)
    scale = 100.0 if share else 1.0
    runs = [value if value is None else scale * _power(value, power) for value in _each(here, arm, key)]
    own = [value for value in runs if value is not None]
    if not own:
        return replace(found, why=f"these runs have no {key}")
    least, greatest = (None if end is None else scale * end**power for end in (measure.least, measure.greatest))
    margin = number.margin
    low, high = (None, None) if margin is None else (-margin, margin)
    answer = (
        against_value(own, number.value, low, high)
        if number.sd is None or number.n is None
        else against_runs(own, number.value, number.sd, int(number.n), low, high)
    )
    digits = max(found.digits, measure.digits - (2 if share else 0))
    answered = _answered(replace(found, here=estimate(own, least, greatest), digits=digits), answer, own)
    unfit = unfit_said(key, [(value,) for value in runs], UNFIT_LEVEL)
    return _untested(answered, f"{unfit} runs") if unfit else answered


def _ratio(found: PaperRow, number: Number, arms: Sequence[ArmRow], here: Here) -> PaperRow:
    """A ratio of two arms, paired by seed: tested as a logarithm, told in the unit of the publication."""
    key, power = number.measure
    left, right = (here.values[arm.name] for arm in arms)
    pairs = [(left[seed][key], right[seed][key]) for seed in sorted(left.keys() & right.keys())]
    if all(None in pair for pair in pairs):
        return replace(found, why=f"no seed has a {key} in both arms")
    if unfit := unfit_said(key, pairs):
        return replace(found, verdict="not tested", why=f"{unfit} paired seeds")
    own = [power * ratio for ratio in log_ratios(left, right, key)]
    inward, outward = SCALES[number.unit]
    log = inward(number.value)
    low, high = (
        (None, None)
        if number.margin is None
        else (inward(number.value - number.margin) - log, inward(number.value + number.margin) - log)
    )
    answer = against_value(own, log, low, high)
    moved = through(lambda gap: outward(gap + log) - number.value, answer.difference)
    digits = max(found.digits, 1 if number.unit == "%" else 2)
    return _answered(
        replace(found, here=through(outward, estimate(own)), digits=digits), replace(answer, difference=moved), own
    )


def unfit_said(key: str, runs: Sequence[Sequence[float | None]], kinds: Sequence[str] = tuple(UNFIT)) -> str:
    """``reward_mean is missing in 1 and not positive in 2 of 5``; nothing where every run has what a test needs."""
    counts = {what: sum(any(map(UNFIT[what], values)) for values in runs) for what in kinds}
    said = [f"{what} in {count}" for what, count in counts.items() if count]
    return f"{key} is {text.listed(said)} of {len(runs)}" if said else ""


def _answered(found: PaperRow, answer: Answer, own: Sequence[float]) -> PaperRow:
    said = verdict(answer)
    return replace(
        found,
        difference=answer.difference,
        p_different=answer.p_different,
        p_equivalent=answer.p_equivalent,
        verdict=said,
        why=_why(own) if said == "not tested" else "",
    )


def _why(own: Sequence[float]) -> str:
    """What these values, all of them finite, lack for a test."""
    sd = estimate(own).sd
    if len(own) == 1:
        return ONE_RUN
    return NO_VARIATION if sd is not None and sd <= SAME * max(map(abs, own)) else TOO_LARGE


def _untested(row: PaperRow, why: str) -> PaperRow:
    """The row without its test, and without the intervals that rest on the same grounds."""
    here, gap = (None if one is None else Estimate(n=one.n, mean=one.mean) for one in (row.here, row.difference))
    row = replace(row, p_different=None, p_equivalent=None, verdict="not tested", why=why)
    crashed = None if row.crashed is None else replace(row.crashed, low=None, high=None)
    return replace(row, here=here, difference=gap, crashed=crashed)


def _each(here: Here, arm: ArmRow, key: str) -> list[float | None]:
    """The value of every run of an arm; None where it has none."""
    return [row[key] for row in here.values[arm.name].values()]


def _power(value: float, power: int) -> float:
    """``value ** power``, which is infinite where no float holds it."""
    return math.prod([value] * power)


def _decimals(value: float) -> int:
    """Digits after the point with which a number was published."""
    _, _, after = f"{value:.12g}".partition(".")
    return len(after)
