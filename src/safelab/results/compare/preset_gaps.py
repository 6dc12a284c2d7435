"""In which keys runs are not as the preset of a publication has them: then they are another experiment, so far."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelab.results import text
from safelab.results.paper_model import NO_RUN, PresetGap
from safelab.results.runs.config import ALWAYS_DIFFERENT, follows_seed
from safelab.results.runs.load import RunSet
from safelab.results.runs.select import ABSENT, as_text
from safelab.runlog.keys import is_among


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a sweep trains: for each arm the configuration of one run, and the seeds of all."""

    arms: Mapping[str, Mapping[str, Any]]
    seeds: Mapping[str, Sequence[int]]


def preset_gaps(loaded: RunSet, preset: Preset) -> list[PresetGap]:
    """What separates the runs that count, every one of them, from the preset."""
    counted = {runs[0].whole: [run for run in runs if run.counted] for runs in loaded.arms.values()}
    there = {arm: runs for arm, runs in counted.items() if runs}
    return _gaps(
        preset,
        {arm: [run.record.config for run in runs] for arm, runs in there.items()},
        {arm: [run.seed for run in runs] for arm, runs in there.items()},
    )


def gaps_between(asked: Preset, made: Preset) -> list[PresetGap]:
    """What separates one plan from another."""
    return _gaps(asked, {arm: [config] for arm, config in made.arms.items()}, made.seeds)


def _gaps(
    asked: Preset, made: Mapping[str, Sequence[Mapping[str, Any]]], seeds: Mapping[str, Sequence[int]]
) -> list[PresetGap]:
    """Each key that differs, once for arms that agree; then arms that were asked for and are not there."""
    there = [arm for arm in asked.arms if arm in made]
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for arm in there:
        for gap in _of_an_arm(asked.arms[arm], made[arm]):
            found[gap].append(arm)
        if set(asked.seeds[arm]) != set(seeds[arm]):
            found["seed", _listed(asked.seeds[arm]), _listed(seeds[arm])].append(arm)
    gaps = [PresetGap(key=key, preset=was, here=here, arms=arms) for (key, was, here), arms in found.items()]
    if absent := [arm for arm in asked.arms if arm not in there]:
        gaps.append(PresetGap(key="arm", preset=", ".join(absent), here=NO_RUN, arms=absent))
    return gaps


def _of_an_arm(asked: Mapping[str, Any], made: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Key, the preset's value, and each value that the runs have, where one of them is not the preset's."""
    there, runs = as_text(asked), [as_text(config) for config in made]
    keys = dict.fromkeys(key for here in runs for key in _of_a_run(there, here))
    values = {key: [*dict.fromkeys(here.get(key, ABSENT) for here in runs)] for key in keys}
    return [(key, there.get(key, ABSENT), text.listed(values[key])) for key in keys]


def _of_a_run(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """The keys that differ; what follows the run's own seed is no difference.

    Of a group that is another option only its name is told: that the options have other keys goes without saying.
    """
    differ = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    others = [name for name in differ if name.endswith(".name")]
    return [
        key
        for key in differ
        if not is_among(key, ALWAYS_DIFFERENT)
        and not follows_seed(key, [there, here])
        and not ((key not in there or key not in here) and any(_beside(key, name) for name in others))
    ]


def _beside(key: str, name: str) -> bool:
    """Whether ``key`` is another one of the group, or below it, that has the ``name``."""
    return key != name and key.startswith(name.removesuffix("name"))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
