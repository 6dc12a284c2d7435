import math
import os
import random
import sys
import types
from itertools import count

import numpy as np
import pandas as pd
import pytest
import torch

from safelab.contracts import Reading, given, reading_of
from safelab.errors import ConfigError, RunFailed
from safelab.parts.reward import function
from safelab.plugins import build_option, faults
from support.models import context

RETURNS = {
    "lengths": lambda prompts, responses: [len(text) for text in responses],
    "too_few": lambda prompts, responses: [1.0],
    "not_finite": lambda prompts, responses: [0.5, math.nan],
    "no_number": lambda prompts, responses: ["a", "b"],
    "raises": lambda prompts, responses: {}["absent"],
    "constant": 3,
}


def trl(completions, **kwargs):
    return [len(text) + len(kwargs["prompts"][0]) for text in completions]


async def late(prompts, responses):
    return [0.0, 0.0]


def moves_everything(prompts, responses):
    os.chdir("/")
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    torch.set_num_threads(torch.get_num_threads() + 1)
    sys.stdout = None
    prompts.clear()
    responses[:] = ["x"]
    return np.zeros(2)


FORMS = {
    "lengths": RETURNS["lengths"],
    "trl": trl,
    "trl_names": lambda prompts, completions: [len(text) for text in completions],
    "trl_keywords": lambda *, completions, prompts: [len(text) for text in completions],
    "swapped": lambda responses, prompts: [len(text) for text in responses],
    "responses_only": lambda responses: [len(text) for text in responses],
    "all_keywords": lambda **given: [len(text) for text in given["completions"]],
    "all_places": lambda *given: [len(text) for text in given[1]],
    "own_names": lambda p, r: [len(text) for text in r],
    "ended_too": lambda completions, ended: [len(text) for text in completions if all(ended)],
    "by_place": lambda prompts, responses, /: [len(text) for text in responses],
    "with_default": lambda prompts, responses, scale=1.0: [scale * len(text) for text in responses],
}
NO_FORMS = {
    "prompts_last": lambda r, prompts: [0.0],
    "trainers_own": lambda completions, completion_ids: [0.0],
    "nothing": lambda: [0.0],
    "single": lambda texts: [0.0],
    "late": late,
}
COLUMNS = {  # what each is called with of the columns ``answer`` and ``level``, and what it says that it reads
    "named": (lambda prompts, responses, answer: [float(a) for a in answer], [7.0, 8.0], ({"answer"}, set(), False)),
    "third": (lambda p, r, answer: [float(a) for a in answer], [7.0, 8.0], ({"answer"}, set(), False)),
    "as_trl": (lambda completions, answer, **kwargs: [float(x) for x in kwargs["level"]], [1.0, 2.0],
               ({"answer"}, set(), True)),
    "with_a_default": (lambda completions, level=None, other=5.0: [other * x for x in level], [5.0, 10.0],
                       (set(), {"level", "other"}, False)),
    "none": (lambda prompts, responses: [0.0, 0.0], [0.0, 0.0], (set(), set(), False)),
}  # fmt: skip
GOOD = {
    "array": np.array([2.0, 3.0]),
    "column": np.array([[2.0], [3.0]]),
    "tensor": torch.tensor([2.0, 3.0], requires_grad=True),
    "half": torch.tensor([2.0, 3.0], dtype=torch.bfloat16),
    "series": pd.Series([2, 3]),
    "generator": (float(n) for n in (2, 3)),
    "booleans": [True, np.bool_(False)],
    "tuple": (2, np.float32(3)),
}
ODD = {
    "two_columns": (np.zeros((2, 2)), "one number per response, got array"),
    "above_float32": ([0.0, 1e39], r"numbers of at most 3.4e\+38 \(float32\), got 1e\+39 for 'a long prompt'"),
    "beyond_float": ([10**400, 0], "numbers of at most"),
    "none": (None, "a list of one number per response, got None"),
    "one": (0.5, "a list of one number per response, got 0.5"),
    "zero_dimensional": (np.array(0.5), "a list of one number per response"),
    "text": ("12", "a list of one number per response, got '12'"),
    "mapping": ({0: 1.0, 1: 2.0}, "a list of one number per response"),
    "unordered": ({1.0, 2.0}, "a list of one number per response"),
    "frame": (pd.DataFrame({0: [1.0], 1: [2.0]}), "a list of one number per response"),
    "none_inside": ([1.0, None], "finite numbers, got None"),
    "complex": ([1.0, 1j], "finite numbers, got 1j"),
    "infinite": ([1.0, -math.inf], "finite numbers|numbers of at most"),
    "endless": (count(), "one number per response, got 3 or more for 2"),
    "too_many": ([1.0] * 5, "one number per response, got 5 for 2"),
}


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_rewards")
    vars(module).update({**RETURNS, **FORMS, **NO_FORMS, "moves_everything": moves_everything})
    vars(module).update({name: lambda p, r, value=value: value for name, value in GOOD.items()})
    vars(module).update({name: lambda p, r, value=value: value for name, (value, _) in ODD.items()})
    vars(module).update({f"reads_{name}": value[0] for name, value in COLUMNS.items()})
    vars(module)["scaled"] = lambda completions, answer, scale: [scale * float(a) for a in answer]
    vars(module)["quits"] = lambda p, r: sys.exit(0)
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


@pytest.mark.parametrize("name", FORMS)
def test_a_function_is_called_by_the_names_that_it_has_or_by_place(name: str) -> None:
    assert score(name) == ([3.0, 4.0] if name == "trl" else [2.0, 3.0])


@pytest.mark.parametrize("name", COLUMNS)
def test_what_else_it_has_as_arguments_are_columns_of_the_data(name: str) -> None:
    reward = build_option("reward", {"name": f"my_rewards:reads_{name}"}, context())
    _, expected, (must, may, every) = COLUMNS[name]
    assert reading_of(reward) == Reading(must=frozenset(must), may=frozenset(may), every=every)
    columns = {"answer": ["7", "8"], "level": [1, 2], "prompts": ["a column", "of that name"]}
    assert reward.score(["p", "q"], ["a", "b"], [True, True], **given(reward, columns)) == expected


def test_options_are_arguments_and_no_columns() -> None:
    config = {"name": "my_rewards:scaled", "options": {"scale": 2.0}}
    reward = build_option("reward", config, context())
    assert reading_of(reward).must == {"answer"}
    assert reward.score(["p"], ["r"], [True], answer=["3"]) == [6.0]
    assert faults("reward", {"name": "my_rewards:lengths", "options": {"scael": 2.0}}) == [
        "reward.options must name arguments of my_rewards:lengths, got 'scael': it has none besides"
    ]


@pytest.mark.parametrize("name", NO_FORMS)
def test_a_function_that_cannot_be_called_is_refused_before_anything_is_built(name: str) -> None:
    (said,) = faults("reward", {"name": f"my_rewards:{name}"})
    assert said.startswith("reward.name must name a function that ")
    assert f"got my_rewards:{name}" in said


@pytest.mark.parametrize("name", GOOD)
def test_numbers_of_every_kind_are_numbers(name: str) -> None:
    assert score(name) == ([1.0, 0.0] if name == "booleans" else [2.0, 3.0])


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_list_of_numbers_is_told(name: str) -> None:
    with pytest.raises(RunFailed, match=f"^reward my_rewards:{name} must return ({ODD[name][1]})"):
        score(name)


def test_a_function_that_ends_the_process_is_told_with_its_line() -> None:
    with pytest.raises(RunFailed, match=r"^reward my_rewards:quits raised SystemExit: 0 \(.*, line \d+: .*\)$"):
        score("quits")


def test_what_it_changes_in_the_process_is_put_back() -> None:
    def seen() -> list[object]:
        numbers = torch.rand(1).item(), np.random.rand(), random.random()
        return [
            os.getcwd(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            sys.stdout,
            numbers,
        ]

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    before = seen()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    assert score("moves_everything") == [0.0, 0.0]
    assert seen() == before


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

    with pytest.raises(RunFailed, match=r"raised TimeoutError: too slow \(.*line \d+: .*\) \(in 3 tries\)"):
        function.FunctionReward("m:f", broken).score(["p"], ["r"], [True])
    assert len(calls) == 3


def test_what_cannot_pass_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def wrong(prompts: list[str], responses: list[str]) -> list[float]:
        calls.append(1)
        raise ValueError("no")

    with pytest.raises(RunFailed, match=r"raised ValueError: no \(.*test_function.py, line \d+: .*\)$"):
        function.FunctionReward("m:f", wrong).score(["p"], ["r"], [True])
    assert len(calls) == 1
