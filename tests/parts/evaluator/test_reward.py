"""A reward as the held-out score: its own numbers, its own faults under the key where it stands."""

import sys
from pathlib import Path
from typing import Any

import pytest

from safelab.errors import ConfigError
from safelab.plugins import build_option, faults, placed
from support.models import context


def lengths(prompts: list[str], responses: list[str]) -> list[float]:
    return [float(len(text)) for text in responses]


def answered(prompts: list[str], responses: list[str], answer: list[str]) -> list[float]:
    return [float(text == right) for text, right in zip(responses, answer, strict=True)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


def evaluator(**of: Any) -> Any:
    return build_option("evaluator", {"name": "reward", "of": of}, context())


def test_it_says_what_the_reward_says() -> None:
    assert evaluator(name=f"{__name__}:lengths").score(["", ""], ["ab", "abcd"], [True, False]) == [2.0, 4.0]


def test_it_reads_the_columns_that_the_reward_reads() -> None:
    made = evaluator(name=f"{__name__}:answered")
    assert made.reading().must == {"answer"}
    assert made.score(["", ""], ["4", "5"], [True, True], answer=["4", "4"], other=[1, 2]) == [1.0, 0.0]


def test_its_faults_are_told_under_its_own_key() -> None:
    found = faults("evaluator", {"name": "reward", "of": {"name": "sequence_classifer"}})
    assert len(found) == 1
    assert found[0].startswith("evaluator.of.name must name an option of reward, got 'sequence_classifer'")
    assert "did you mean 'sequence_classifier'" in found[0]
    with pytest.raises(ConfigError, match=r"evaluator\.of\.label must"):
        evaluator(name="sequence_classifier", label=-1)


def test_its_paths_are_made_absolute(tmp_path: Path) -> None:
    (tmp_path / "gold").mkdir()
    made = placed("evaluator", {"name": "reward", "of": {"name": "sequence_classifier", "path": "gold"}}, tmp_path)
    assert made["of"]["path"] == str(tmp_path / "gold")
