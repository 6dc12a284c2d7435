import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from safelab.errors import ConfigError
from safelab.parts.advantage.gae import Gae
from safelab.parts.controller.gate.entropy import EntropyGate
from safelab.parts.objective.ratio_variance import RatioVariance
from safelab.plugins import build_option, faults, find, misfit, option_names, part_of, resolve
from support.models import context

NORMALISER = {"name": "whiten", "eps": 1e-8, "shift_mean": False}
SHAPING = {
    "name": "stack",
    "missing_end_penalty": 0.0,
    "missing_end_reward": None,
    "repetition_penalty": 0.0,
    "clip": None,
    "normaliser": NORMALISER,
}

GAE = {"name": "gae", "discount": 1.0, "trace_decay": 0.95, "whiten": True, "whiten_rewards": False}

USER_MODULE = """
from typing import Annotated
from pydantic import Field
from safelab.contracts import Critic, Empty, Forgetful, Gate, Part, StatelessObjective

class Half(Forgetful, Gate[Empty]):
    strength: Annotated[float, Field(gt=0)]
    def factor(self, state):
        return self.strength

class NoFactor(Forgetful, Gate[Empty]):
    strength: float

class Cut(NoFactor):
    def factor(self, state):
        return self.strength
    def step(self, state, signals, kl):
        return state

class Made(Part):
    size: int
    def build(self, context):
        return ("made", self.size, context.seed)

class Unmade(Part):
    size: int

class Wishful(StatelessObjective):
    needs = frozenset({"old_logp", "gruops"})
    def loss(self, state, current, batch):
        raise NotImplementedError

class Raising(Part):
    size: int
    def build(self, context):
        return self.size / 0

class Picky(Made):
    def model_post_init(self, context):
        raise RuntimeError("no such size")

class Listed(StatelessObjective):
    needs = ["old_logp", "gruops"]
    def loss(self, state, current, batch):
        raise NotImplementedError

class Known(Listed):
    needs = ["old_logp", "groups"]

class Texted(Listed):
    needs = "old_logp"

class Loose:
    def factor(self, state):
        return 1.0

def judge(prompts, responses):
    return [0.0 for _ in responses]
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, importable as ``mine_<something>``."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def message(group: str, config: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        build_option(group, config, context())
    return str(error.value)


def test_an_option_is_the_part_of_the_module_of_its_name() -> None:
    assert find("advantage", "gae") is Gae
    assert find("objective", "ratio_variance") is RatioVariance, "neither its state nor what it imports"
    assert find("controller/gate", "entropy") is EntropyGate


def test_a_module_of_two_parts_or_none_is_no_option() -> None:
    for count in (0, 2):
        module = ModuleType("several")
        for number in range(count):
            setattr(module, f"Gae{number}", type(f"Gae{number}", (Gae,), {"__module__": "several"}))
        with pytest.raises(ValueError, match="values to unpack"):
            part_of(module)


def test_options_are_the_modules_without_underscore() -> None:
    assert option_names("shaping") == ["stack"]
    assert option_names("shaping/normaliser") == ["none", "running", "running_released", "whiten"]


def test_nothing_is_found_outside_the_group() -> None:
    for name in ("_running", "normaliser", "..errors", "os", ""):
        with pytest.raises(ConfigError, match=r"shaping\.normaliser\.name must name an option"):
            find("shaping/normaliser", name)


def test_an_unknown_name_gets_the_nearest() -> None:
    text = message("shaping/normaliser", {"name": "whitten"})
    assert text == (
        "shaping.normaliser.name must name an option of shaping/normaliser, got 'whitten': "
        "did you mean 'whiten'? known: none, running, running_released, whiten"
    )


@pytest.mark.parametrize("config", [{}, {"name": None}, {"name": 3}])
def test_a_missing_name_says_what_there_is(config: dict[str, Any]) -> None:
    assert message("shaping", config).endswith("known: stack")


def test_a_sound_option_is_built_with_its_nested_ones() -> None:
    assert build_option("advantage", GAE, context()) == Gae(**GAE)
    assert set(build_option("shaping", SHAPING, context()).init().model_dump()) == {"normaliser"}


def test_all_faults_come_in_one_message_with_key_rule_value_and_remedy() -> None:
    wrong = {
        "name": "stack",
        "missing_end_penalty": -1.0,
        "missing_end_reward": None,
        "clip": "ten",
        "repetition_penality": 0.5,
        "normaliser": {"name": "whiten", "eps": 0.0},
    }
    lines = message("shaping", wrong).splitlines()
    assert sorted(lines) == sorted(
        [
            "shaping.missing_end_penalty must be >= 0, got -1.0",
            "shaping.repetition_penalty must be given, it has no default",
            "shaping.clip must be a valid number, got 'ten'",
            "shaping.repetition_penality must be a key of shaping, and is none: did you mean 'repetition_penalty'? "
            "known: clip, missing_end_penalty, missing_end_reward, name, normaliser, repetition_penalty",
            "shaping.normaliser.eps must be > 0, got 0.0",
            "shaping.normaliser.shift_mean must be given, it has no default",
        ]
    )


def test_text_is_no_number_and_a_number_no_boolean() -> None:
    assert "shaping.normaliser.eps must be a valid number, got '1e-8'" in message(
        "shaping/normaliser", {**NORMALISER, "eps": "1e-8"}
    )
    assert "shaping.normaliser.shift_mean must be a valid boolean, got 1" in message(
        "shaping/normaliser", {**NORMALISER, "shift_mean": 1}
    )
    assert "finite" in message("shaping/normaliser", {**NORMALISER, "eps": float("nan")})


def test_an_unknown_nested_option_is_found_before_anything_is_built() -> None:
    assert message("shaping", {**SHAPING, "normaliser": {"name": "runing"}}).startswith(
        "shaping.normaliser.name must name an option of shaping/normaliser, got 'runing': did you mean 'running'?"
    )


def test_a_nested_group_that_is_no_mapping_is_a_fault() -> None:
    assert message("shaping", {**SHAPING, "normaliser": "whiten"}).startswith("shaping.normaliser must be")


def test_a_sound_option_has_no_faults() -> None:
    assert faults("shaping", SHAPING) == []


def test_a_part_of_the_user_is_named_in_full(user_module: str) -> None:
    gate = build_option("controller/gate", {"name": f"{user_module}:Half", "strength": 0.5}, context())
    assert gate.factor(gate.init()) == 0.5
    made = build_option("critic", {"name": f"{user_module}:Made", "size": 3}, context(seed=7))
    assert made == ("made", 3, 7)


def test_its_faults_are_told_as_those_of_an_own_option(user_module: str) -> None:
    wrong = {"name": f"{user_module}:Half", "strength": -1.0, "strenght": 2.0}
    assert message("controller/gate", wrong).splitlines() == [
        "controller.gate.strength must be > 0, got -1.0",
        "controller.gate.strenght must be a key of controller.gate, and is none: did you mean 'strength'? "
        "known: name, strength",
    ]


def test_a_class_that_is_no_part_is_told_what_to_derive_from(user_module: str) -> None:
    assert message("controller/gate", {"name": f"{user_module}:Loose"}) == (
        f"controller.gate.name must name a class that derives from safelab.contracts.Part, got '{user_module}:Loose', "
        "which does not: write class Loose(Gate), its options as its fields (docs/extending.md)"
    )
    assert "write class Loose(Part, Reward), its options" in message("reward", {"name": f"{user_module}:Loose"})


def test_a_part_of_another_group_is_refused(user_module: str) -> None:
    assert message("objective", {"name": f"{user_module}:Half", "strength": 0.5}) == (
        f"objective.name must name a class of this group, got '{user_module}:Half', which does not derive from "
        "safelab.contracts.Objective: write class Half(Objective), or a build that returns such an object"
    )
    assert "write class Unmade(Part, Critic), or a build" in message("critic", {"name": f"{user_module}:Unmade"})


def test_missing_methods_are_named_all_in_one_message(user_module: str) -> None:
    assert message("controller/gate", {"name": f"{user_module}:NoFactor", "strength": "x"}) == (
        f"controller.gate.name must name a class with all methods of this group, got '{user_module}:NoFactor', which "
        "lacks factor: write them as safelab.contracts.Gate has them"
    )
    assert "lacks factor, init, step: write them" in message("controller/gate", {"name": "safelab.contracts:Gate"})
    assert faults("controller/gate", {"name": f"{user_module}:Cut", "strength": 1.0}) == []


def test_an_unknown_need_gets_the_nearest(user_module: str) -> None:
    assert message("objective", {"name": f"{user_module}:Wishful"}).startswith(
        f"objective.name must name a class whose needs are known, got '{user_module}:Wishful' with 'gruops': "
        "did you mean 'groups'?"
    )


def test_a_function_is_served_by_the_groups_own_option(user_module: str) -> None:
    assert faults("reward", {"name": f"{user_module}:judge"}) == []
    assert message("reward", {"name": f"{user_module}:judge", "speed": 1}).startswith(
        f"reward.name={user_module}:judge must come with reward=function, got the keys of another option (speed)"
    )


def test_a_function_where_the_group_has_no_option_for_it_is_refused(user_module: str) -> None:
    with pytest.raises(ConfigError, match=r"shaping\.name must name a class that derives from safelab.contracts.Part"):
        find("shaping", f"{user_module}:judge")


def test_what_cannot_be_imported_is_said(user_module: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must name an importable module, got 'no_such_package.x:Y': no module"):
        resolve("no_such_package.x:Y", "critic.name")
    with pytest.raises(ConfigError, match=f"must name something in {user_module}, got 'Haff': did you mean 'Half'"):
        resolve(f"{user_module}:Haff", "critic.name")
    for path in (":Mine", "mine:", "mine"):
        with pytest.raises(ConfigError, match=r"must be 'package.module:attribute'"):
            resolve(path, "critic.name")
    (tmp_path / "needs_more.py").write_text("import no_such_dependency")
    with pytest.raises(ConfigError, match="needs_more needs the module 'no_such_dependency', which is not installed"):
        resolve("needs_more:Mine", "critic.name")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 0\n1 / 0\n", r"which raised ZeroDivisionError: division by zero \(.*broken_inside.py, line 2: .*\)"),
        ("import sys\nsys.exit(0)\n", r"which raised SystemExit: 0 \(.*broken_inside.py, line 2: .*\)"),
        ("def f(:\n", r"which raised SyntaxError: .*\(.*broken_inside.py, line 1: .*\)"),
        ("raise RuntimeError('no\\n gpu')", r"which raised RuntimeError: no gpu \(.*broken_inside.py, line 1: .*\)"),
    ],
)
def test_a_module_that_raises_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    (tmp_path / "broken_inside.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=rf"^critic\.name must name an importable module.*{said}$"):
        resolve("broken_inside:Mine", "critic.name")


def test_a_module_that_leaves_the_folder_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wanderer.py").write_text("import os\nos.chdir('/')\ndef f(prompts, responses): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    resolve("wanderer:f", "reward.name")
    assert Path.cwd() == tmp_path


def test_a_part_that_raises_while_it_is_made_is_told_with_its_line(user_module: str) -> None:
    said = message("critic", {"name": f"{user_module}:Raising", "size": 1})
    assert re.fullmatch(
        rf"critic\.name={user_module}:Raising raised ZeroDivisionError: .* \(.*{user_module}\.py, line \d+: .*\)", said
    )
    assert "raised RuntimeError: no such size" in message("critic", {"name": f"{user_module}:Picky", "size": 1})


def test_needs_may_be_a_list_and_anything_else_is_told(user_module: str) -> None:
    for name in ("Listed", "Known"):
        assert (misfit("objective", name, resolve(f"{user_module}:{name}", "objective.name")) is None) == (
            name == "Known"
        )
    assert "with 'gruops': did you mean 'groups'?" in message("objective", {"name": f"{user_module}:Listed"})
    assert "needs are a set, got" in message("objective", {"name": f"{user_module}:Texted"})


def test_the_form_with_a_dot_is_told_the_one_with_a_colon() -> None:
    assert message("reward", {"name": "my.mod.Mine"}) == (
        "reward.name must name an option of reward or, with a colon, a function or class of your own, "
        "got 'my.mod.Mine': write 'reward=function reward.name=my.mod:Mine'"
    )


def test_a_nested_option_in_the_form_of_a_key_is_told_the_form_of_a_group(user_module: str) -> None:
    own = {**SHAPING, "normaliser": "mine"}
    assert message("shaping", own) == (
        "shaping.normaliser must be an option of the group shaping/normaliser, got 'mine': write "
        "shaping/normaliser=mine, in a file '- override /shaping/normaliser: mine'; did you mean 'none'? "
        "known: none, running, running_released, whiten"
    )
    assert "write shaping.normaliser.name=my.mod:Mine, with its keys" in message(
        "shaping", {**SHAPING, "normaliser": "my.mod:Mine"}
    )


def test_the_known_names_of_a_module_are_those_that_it_defines(user_module: str) -> None:
    with pytest.raises(
        ConfigError, match=r"got 'Hlaf': did you mean 'Half'\? known: Cut, Half, Known, Listed, .*judge$"
    ):
        resolve(f"{user_module}:Hlaf", "critic.name")
