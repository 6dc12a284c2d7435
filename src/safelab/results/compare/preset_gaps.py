"""In which keys runs are not as the preset of a publication has them: then they are another experiment, so far."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelab.results.model import PresetGap
from safelab.results.runs.config import ALWAYS_DIFFERENT
from safelab.results.runs.load import LoadedRun, RunSet
from safelab.results.runs.select import ABSENT, as_text
from safelab.runlog.keys import is_among

NO_RUN = "no run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a publication's sweep would train: the configuration of each arm's first run, and the seeds of all."""

    arms: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int]


def preset_gaps(loaded: RunSet, preset: Preset) -> list[PresetGap]:
    """Each key that differs, once for arms that agree; then arms and seeds of the preset without runs that count."""
    by_name = {runs[0].whole: [run for run in runs if run.counted] for runs in loaded.arms.values()}
    there = {arm: runs for arm, runs in by_name.items() if arm in preset.arms and runs}
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for arm, runs in there.items():
        for key, asked, got in _of_an_arm(preset.arms[arm], runs[0]):
            found[key, asked, got].append(arm)
        if missing := set(preset.seeds) - {run.seed for run in runs}:
            found["seed", _listed(preset.seeds), _listed(set(preset.seeds) - missing) or NO_RUN].append(arm)
    gaps = [PresetGap(key=key, preset=asked, here=got, arms=arms) for (key, asked, got), arms in found.items()]
    if absent := [arm for arm in preset.arms if arm not in there]:
        gaps.append(PresetGap(key="arm", preset=", ".join(absent), here=NO_RUN, arms=absent))
    return gaps


def _of_an_arm(asked: Mapping[str, Any], run: LoadedRun) -> list[tuple[str, str, str]]:
    """Key, the preset's value, the run's; what follows the run's own seed is no difference."""
    there, here = as_text(asked), as_text(run.record.config)
    keys = [key for key in {**there, **here} if not is_among(key, ALWAYS_DIFFERENT)]
    return [
        (key, there.get(key, ABSENT), here.get(key, ABSENT))
        for key in keys
        if there.get(key) != here.get(key)
        and not (there.get(key) == there.get("seed") and here.get(key) == here.get("seed"))
    ]


def _listed(seeds: Sequence[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
