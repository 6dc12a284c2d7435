import math
import sys
import types

import pytest

from safelab.errors import ConfigError, RunFailed
from safelab.parts.reward import function
from safelab.plugins import build_option
from support.models import context

RETURNS = {
    "lengths": lambda prompts, responses: [len(text) for text in responses],
    "too_few": lambda prompts, responses: [1.0],
    "not_finite": lambda prompts, responses: [0.5, math.nan],
    "no_number": lambda prompts, responses: ["a", "b"],
    "raises": lambda prompts, responses: {}["absent"],
    "constant": 3,
}


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_rewards")
    vars(module).update(RETURNS)
    monkeypatch.setitem(sys.modules, "my_rewards", module)


def score(name: str) -> list[float]:
    reward = build_option("reward", {"name": f"my_rewards:{name}"}, context())
    return reward.score(["p", "a long prompt"], ["ab", "abc"], [True, True])


def test_the_function_gets_texts_and_its_numbers_come_back_as_floats() -> None:
    assert score("lengths") == [2.0, 3.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_few", "one number per response, got 1 for 2"),
        ("not_finite", "finite numbers, got nan for 'a long prompt'"),
        ("no_number", "finite numbers, got 'a' for 'p'"),
        ("raises", "raised KeyError: 'absent'"),
    ],
)
def test_what_is_wrong_is_told_with_the_functions_name(name: str, message: str) -> None:
    with pytest.raises(RunFailed, match=f"my_rewards:{name} .*{message}"):
        score(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_rewards:absent", "must name something in my_rewards"),
        ("no_such_module_at_all:f", "no module 'no_such_module_at_all'"),
        ("my_rewards:constant", "must name a function"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_option("reward", {"name": name}, context())


def test_a_connection_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "PAUSE_S", 0.0)
    calls: list[int] = []

    def shaky(prompts: list[str], responses: list[str]) -> list[float]:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionResetError("reset by peer")
        return [1.0]

    assert function.FunctionReward("m:f", shaky).score(["p"], ["r"], [True]) == [1.0]
    calls.clear()

    def broken(prompts: list[str], responses: list[str]) -> list[float]:
        calls.append(1)
        raise TimeoutError("too slow")

    with pytest.raises(RunFailed, match=r"raised TimeoutError: too slow \(in 3 tries\)"):
        function.FunctionReward("m:f", broken).score(["p"], ["r"], [True])
    assert len(calls) == 3


def test_what_cannot_pass_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def wrong(prompts: list[str], responses: list[str]) -> list[float]:
        calls.append(1)
        raise ValueError("no")

    with pytest.raises(RunFailed, match=r"raised ValueError: no$"):
        function.FunctionReward("m:f", wrong).score(["p"], ["r"], [True])
    assert len(calls) == 1
