"""Which arms are taught by the gold score, as votes or as their reward: it is then no held-out score of theirs."""

from collections.abc import Mapping
from typing import Any

from safelab.results.runs.load import RunSet
from safelab.results.text import listed


def voted_by_gold_said(loaded: RunSet) -> list[str]:
    """A sentence that names them; none where there is none."""
    arms = sorted({run.arm for run in loaded.runs if votes_by_gold(run.record.config)})
    if not arms:
        return []
    return [f"Votes that go by the gold score teach {listed(arms)}: it is no held-out score there."]


def paid_by_gold_said(loaded: RunSet) -> list[str]:
    """A sentence that names the arms whose reward is the evaluator; none where there is none."""
    arms = sorted({run.arm for run in loaded.runs if is_paid_by_gold(run.record.config)})
    if not arms:
        return []
    return [f"The gold score is the very reward of {listed(arms)}: it is no held-out score there."]


def is_paid_by_gold(config: Mapping[str, Any]) -> bool:
    """Whether reward and evaluator are one and the same, as in the world of tasks."""
    return "reward" in config and config["reward"] == config.get("evaluator")


def votes_by_gold(config: Mapping[str, Any]) -> bool:
    """Whether a run's preference oracle goes by the evaluator's score."""
    return bool(config.get("optimizer", {}).get("oracle", {}).get("of") == "gold")
