"""What the policies wrote: few enough records to read, chosen evenly, the same for every arm."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelab.results.model import Sample
from safelab.results.runs.load import RunSet
from safelab.runlog.files import finite

SEEDS = 3
UPDATES = 8
RESPONSES = 6
LENGTH = 2000
"""Most seeds, updates, responses of one update, and characters of a text, that a page shows."""


def samples(loaded: RunSet) -> list[Sample]:
    """Responses of the first seeds at evenly spread updates, the first and the last among them."""
    runs = [run for run in loaded.runs if run.counted and run.record.samples]
    seeds = sorted({run.seed for run in runs})[:SEEDS]
    updates = spread(sorted({int(record["update"]) for run in runs for record in run.record.samples}), UPDATES)
    return [
        _sample(run.arm, run.seed, record)
        for run in runs
        if run.seed in seeds
        for update in updates
        for record in [record for record in run.record.samples if record["update"] == update][:RESPONSES]
    ]


def spread(values: Sequence[int], count: int) -> list[int]:
    """``count`` of the values, evenly placed, with both ends."""
    if len(values) <= count:
        return list(values)
    return [values[round(place * (len(values) - 1) / (count - 1))] for place in range(count)]


def _sample(arm: str, seed: int, record: Mapping[str, Any]) -> Sample:
    return Sample(
        arm=arm,
        seed=seed,
        update=int(record["update"]),
        prompt=_text(record.get("prompt")),
        response=_text(record.get("response")),
        reward=finite(record.get("reward")),
        gold=finite(record.get("gold")),
    )


def _text(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LENGTH else text[:LENGTH] + " […]"
