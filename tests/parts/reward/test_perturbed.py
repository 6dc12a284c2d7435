"""Faults by their law, the same for the same response, and those of the reward inside under its own key."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from safelab.errors import ConfigError
from safelab.plugins import build_option, faults, placed
from support.models import context
from support.runs import numbers, run, small

COUNT = 4000
PROMPTS = [f"prompt {number % 40}" for number in range(COUNT)]
RESPONSES = [f"response {number}" for number in range(COUNT)]


def lengths(prompts: list[str], responses: list[str]) -> list[float]:
    return [float(len(text)) for text in responses]


def answered(prompts: list[str], responses: list[str], answer: list[str]) -> list[float]:
    return [float(text == right) for text, right in zip(responses, answer, strict=True)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


def option(**changes: Any) -> dict[str, Any]:
    of = {"name": f"{__name__}:lengths"}
    return {"name": "perturbed", "of": of, "std": 0.0, "flip_share": 0.0, "flip_about": 0.5, "seed": 7, **changes}


def perturbed(**changes: Any) -> Any:
    return build_option("reward", option(**changes), context())


def scored(prompts: list[str], responses: list[str], **changes: Any) -> list[float]:
    return list(perturbed(**changes).score(prompts, responses, [True] * len(responses)))


def noises(**changes: Any) -> list[float]:
    found = scored(PROMPTS, RESPONSES, **changes)
    return [score - clean for score, clean in zip(found, lengths(PROMPTS, RESPONSES), strict=True)]


def test_without_faults_it_is_the_reward_to_the_bit() -> None:
    assert scored(PROMPTS, RESPONSES) == lengths(PROMPTS, RESPONSES)


def test_the_noise_has_its_mean_and_its_deviation_and_is_normal() -> None:
    found = noises(std=0.3)
    mean, deviation = sum(found) / COUNT, math.sqrt(sum(noise**2 for noise in found) / COUNT)
    assert abs(mean) < 4 * 0.3 / math.sqrt(COUNT)
    assert abs(deviation - 0.3) < 4 * 0.3 / math.sqrt(2 * COUNT)
    assert stats.kstest(found, stats.norm(scale=0.3).cdf).pvalue > 1e-3


def test_a_fault_belongs_to_seed_prompt_and_response() -> None:
    first = noises(std=0.3)
    assert noises(std=0.3) == first
    backwards = scored(PROMPTS[::-1], RESPONSES[::-1], std=0.3)[::-1]
    assert backwards == scored(PROMPTS, RESPONSES, std=0.3), "neighbours have no influence"
    others = [noises(std=0.3, seed=8), scored(["other"] * COUNT, RESPONSES, std=0.3)]
    assert all(len({*first} & {*other}) == 0 for other in others)


def test_rewards_are_turned_about_a_point_in_the_share_that_is_asked_for() -> None:
    found = scored(PROMPTS, RESPONSES, flip_share=0.2, flip_about=3.0)
    clean = lengths(PROMPTS, RESPONSES)
    turned = [score != was for score, was in zip(found, clean, strict=True)]
    assert all(score in (was, 6.0 - was) for score, was in zip(found, clean, strict=True))
    assert abs(sum(turned) / COUNT - 0.2) < 4 * math.sqrt(0.2 * 0.8 / COUNT)
    assert scored(["p"], ["abcd"], flip_share=1.0, flip_about=0.5) == [-3.0]


def test_it_reads_the_columns_that_the_reward_reads() -> None:
    made = perturbed(of={"name": f"{__name__}:answered"}, flip_share=1.0)
    assert made.reading().must == {"answer"}
    assert made.score(["", ""], ["4", "5"], [True, True], answer=["4", "4"], other=[1, 2]) == [0.0, 1.0]


def test_what_it_holds_is_checked_under_its_own_key(tmp_path: Path) -> None:
    (found,) = faults("reward", option(of={"name": "sequence_classifer"}))
    assert found.startswith("reward.of.name must name an option of reward, got 'sequence_classifer'")
    with pytest.raises(ConfigError, match=r"reward\.flip_share must be <= 1"):
        perturbed(flip_share=1.5)
    (tmp_path / "model").mkdir()
    made = placed("reward", option(of={"name": "sequence_classifier", "path": "model"}), tmp_path)
    assert made["of"]["path"] == str(tmp_path / "model")


@pytest.mark.slow
def test_a_resumed_run_meets_the_same_faults(tmp_path: Path) -> None:
    def config(updates: int, where: str) -> dict[str, Any]:
        found = {**small(tmp_path, f"updates={updates}", "checkpoint.every=1"), "output_dir": str(tmp_path / where)}
        return {**found, "reward": option(of=found["reward"], std=0.3, flip_share=0.1)}

    _, whole = run(config(4, "whole"))
    run(config(2, "parts"))
    _, resumed = run(config(4, "parts"))
    assert numbers(resumed) == numbers(whole)
    assert numbers(whole) != numbers(run({**config(4, "clean"), "reward": small(tmp_path)["reward"]})[1])
