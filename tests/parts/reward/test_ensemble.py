"""Combinations by hand; a member that is wrong is named by its number."""

from typing import Any

import pytest
import torch

from safelab.errors import ConfigError
from safelab.plugins import build_option
from support.models import context


def lengths(prompts: list[str], responses: list[str]) -> list[float]:
    return [float(len(text)) for text in responses]


def vowels(prompts: list[str], responses: list[str]) -> list[float]:
    return [float(sum(char in "aeiou" for char in text)) for text in responses]


def others(prompts: list[str], responses: list[str]) -> list[float]:
    return [3.0, 7.0]


MEMBERS = [{"name": f"{__name__}:lengths"}, {"name": f"{__name__}:vowels"}]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


def ensemble(**changes: Any) -> Any:
    options = {
        "name": "ensemble",
        "members": MEMBERS,
        "combine": "mean",
        "weights": None,
        "std_coef": 0.5,
        "variance_coef": 0.1,
    }
    return build_option("reward", {**options, **changes}, context())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [2.5, 2.0]),
        ({"weights": [3.0, 1.0]}, [3.25, 2.0]),
        ({"combine": "min"}, [1.0, 2.0]),
        # deviations of (4, 1) and (2, 2): 3 / sqrt 2 and 0
        ({"combine": "mean_minus_std"}, [2.5 - 0.5 * 3 / 2**0.5, 2.0]),
        # variances 9 / 2 and 0
        ({"combine": "uwo"}, [2.5 - 0.1 * 4.5, 2.0]),
    ],
)
def test_combinations_by_hand(changes: dict[str, Any], expected: list[float]) -> None:
    assert ensemble(**changes).score(["", ""], ["xxxa", "ae"], [True, True]) == pytest.approx(expected)


def test_a_wrong_member_is_named_by_its_number() -> None:
    with pytest.raises(ConfigError, match=r"reward\.members\[1\]: .*did you mean 'function'"):
        ensemble(members=[MEMBERS[0], {"name": "functoin"}])


def test_a_weight_for_each() -> None:
    with pytest.raises(ConfigError, match="one weight for each of 2 members, got 1"):
        ensemble(weights=[1.0])


@pytest.mark.parametrize("combine", ["min", "mean_minus_std", "uwo"])
def test_weights_of_another_combination_than_the_mean_are_refused(combine: str) -> None:
    said = rf"must have weights=null with combine={combine}, got \[3, 1\].*or choose combine=mean"
    with pytest.raises(ConfigError, match=said):
        ensemble(combine=combine, weights=[3.0, 1.0])


def test_the_variance_is_that_of_the_authors_ppo_code() -> None:
    """``mean - coef * torch.var(scores, dim=0)`` of tlc4418/llm_optimization, by torch."""
    scores = torch.tensor([[4.0, 2.0], [1.0, 2.0], [3.0, 7.0]], dtype=torch.float64)
    expected = scores.mean(dim=0) - 0.5 * torch.var(scores, dim=0)
    made = ensemble(members=[*MEMBERS, {"name": f"{__name__}:others"}], combine="uwo", variance_coef=0.5)
    assert made.score(["", ""], ["xxxa", "ae"], [True, True]) == pytest.approx(expected.tolist())
