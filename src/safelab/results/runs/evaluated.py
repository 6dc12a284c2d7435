"""The numbers of a run that ``safelab evaluate`` measured, each on prompts that its training did not draw."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from safelab.results.model import Measure
from safelab.runlog.reader import RunRecord

PLACES: Mapping[str, tuple[str, ...]] = {
    "win_rate": ("win_rate", "mean"),
    "win_rate_gold": ("gold_win_rate", "mean"),
    "win_rate_answers": ("policy", "answers_win_rate", "mean"),
    "win_rate_answers_gold": ("policy", "answers_gold_win_rate", "mean"),
    "start_win_rate_answers_gold": ("reference", "answers_gold_win_rate", "mean"),
}
"""Where each measure stands in ``evaluation.json``."""

EVALUATED = (
    Measure(
        key="win_rate",
        label="Win rate over the start",
        unit="share",
        better="higher",
        digits=2,
        meaning="share of held-out prompts whose response has a higher reward than that of the policy before training, "
        "a tie as half a win (safelab evaluate)",
        least=0.0,
        greatest=1.0,
    ),
    Measure(
        key="win_rate_gold",
        label="Win rate over the start, by gold score",
        unit="share",
        better="higher",
        digits=2,
        meaning="the same by the gold score, which nothing optimises",
        least=0.0,
        greatest=1.0,
    ),
    Measure(
        key="win_rate_answers",
        label="Win rate over the data's answers",
        unit="share",
        better="higher",
        digits=2,
        meaning="share of held-out prompts whose response has a higher reward than the data's own answer, a tie as "
        "half a win (safelab evaluate --answers COLUMN)",
        least=0.0,
        greatest=1.0,
    ),
    Measure(
        key="win_rate_answers_gold",
        label="Win rate over the data's answers, by gold score",
        unit="share",
        better="higher",
        digits=2,
        meaning="the same by the gold score, which nothing optimises",
        least=0.0,
        greatest=1.0,
    ),
    Measure(
        key="start_win_rate_answers_gold",
        label="The start's win rate over the data's answers, by gold score",
        unit="share",
        better="",
        digits=2,
        meaning="the same of the policy before training",
        least=0.0,
        greatest=1.0,
    ),
)


def evaluated(record: RunRecord, measures: Sequence[Measure]) -> dict[str, float | None]:
    """Those of ``measures`` that ``safelab evaluate`` measures; None where it was not asked to."""
    return {measure.key: at(record.evaluation, PLACES[measure.key]) for measure in measures if measure.key in PLACES}


def at(tree: Any, path: Sequence[str]) -> float | None:
    """The share at ``path``, or None."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    share = isinstance(tree, int | float) and not isinstance(tree, bool) and 0 <= tree <= 1
    return float(tree) if share else None


def evaluations_said(records: Mapping[str, RunRecord]) -> list[str]:
    """In what the evaluations of these runs, by name, are not alike: which checkpoint, which prompts and answers."""
    found = {name: record for name, record in records.items() if record.evaluation}
    early = [
        f"{name} was evaluated after {done} of {len(record.metrics)} updates"
        for name, record in found.items()
        if (done := updates_of(record.evaluation.get("checkpoint"))) is not None and done < len(record.metrics)
    ]
    asked = {_asked(record.evaluation) for record in found.values()}
    return [
        *early,
        *(["Runs were evaluated on other prompts, or against other answers"] * (len(asked) > 1)),
    ]


def _asked(evaluation: Mapping[str, Any]) -> str:
    """What an evaluation is of: the data but for its seed, the number of prompts, the column of answers."""
    data = evaluation.get("data")
    data = {key: value for key, value in data.items() if key != "seed"} if isinstance(data, Mapping) else data
    return json.dumps([data, evaluation.get("prompts"), evaluation.get("answers_column")], sort_keys=True)


def updates_of(checkpoint: Any) -> int | None:
    """Updates behind ``update_000050``; None for another name."""
    number = re.fullmatch(r"update_(\d+)", checkpoint) if isinstance(checkpoint, str) else None
    return int(number[1]) if number else None
