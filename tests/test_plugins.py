import pytest
from pydantic import Field, ValidationError

from safelab import plugins
from safelab.errors import ConfigError
from safelab.options import Options
from safelab.plugins import build_option, describe, faults, find, load_option, option_names, resolve

NORMALISER = {"name": "whiten", "eps": 1e-8, "shift_mean": False}
SHAPING = {
    "name": "stack",
    "missing_end_penalty": 0.0,
    "repetition_penalty": 0.0,
    "clip": None,
    "normaliser": NORMALISER,
}

USER_MODULE = """
from safelab.options import Options as BaseOptions

class Mine:
    class Options(BaseOptions):
        name: str
        strength: float
    def __init__(self, options, context):
        self.options, self.context = options, context

def judge(prompts, responses):
    return [0.0 for _ in responses]
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """A module of the user's own, importable as ``mine_<something>``."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def message(group, config):
    with pytest.raises(ConfigError) as error:
        load_option(group, config)
    return str(error.value)


def test_an_option_is_the_module_of_its_name():
    assert find("shaping", "stack").__name__ == "safelab.parts.shaping.stack"
    assert find("shaping/normaliser", "whiten").__name__ == "safelab.parts.shaping.normaliser.whiten"


def test_options_are_the_modules_without_underscore():
    assert option_names("shaping") == ["stack"]
    assert option_names("shaping/normaliser") == ["none", "running", "running_released", "whiten"]


def test_nothing_is_found_outside_the_group():
    for name in ("_running", "normaliser", "..errors", "os", ""):
        with pytest.raises(ConfigError, match=r"shaping\.normaliser\.name must name an option"):
            find("shaping/normaliser", name)


def test_an_unknown_name_gets_the_nearest():
    text = message("shaping/normaliser", {"name": "whitten"})
    assert text == (
        "shaping.normaliser.name must name an option of shaping/normaliser, got 'whitten': "
        "did you mean 'whiten'? known: none, running, running_released, whiten"
    )


@pytest.mark.parametrize("config", [{}, {"name": None}, {"name": 3}])
def test_a_missing_name_says_what_there_is(config):
    assert message("shaping", config).endswith("known: stack")


def test_a_sound_option_is_built_with_its_nested_ones():
    stack = build_option("shaping", SHAPING, None)
    assert stack.options.normaliser == NORMALISER
    assert stack.normaliser.options.eps == 1e-8


def test_all_faults_come_in_one_message_with_key_rule_value_and_remedy():
    wrong = {
        "name": "stack",
        "missing_end_penalty": -1.0,
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
            "known: clip, missing_end_penalty, name, normaliser, repetition_penalty",
            "shaping.normaliser.eps must be > 0, got 0.0",
            "shaping.normaliser.shift_mean must be given, it has no default",
        ]
    )


def test_text_is_no_number_and_a_number_no_boolean():
    assert "shaping.normaliser.eps must be a valid number, got '1e-8'" in message(
        "shaping/normaliser", {**NORMALISER, "eps": "1e-8"}
    )
    assert "shaping.normaliser.shift_mean must be a valid boolean, got 1" in message(
        "shaping/normaliser", {**NORMALISER, "shift_mean": 1}
    )
    assert "finite" in message("shaping/normaliser", {**NORMALISER, "eps": float("nan")})


def test_an_unknown_nested_option_is_found_before_anything_is_built():
    assert message("shaping", {**SHAPING, "normaliser": {"name": "runing"}}).startswith(
        "shaping.normaliser.name must name an option of shaping/normaliser, got 'runing': did you mean 'running'?"
    )


def test_a_nested_group_that_is_no_mapping_is_a_fault():
    assert message("shaping", {**SHAPING, "normaliser": "whiten"}).startswith("shaping.normaliser must be")


def test_a_sound_option_has_no_faults():
    assert faults("shaping", SHAPING) == []


def test_a_class_of_the_user_is_named_in_full(user_module):
    made = build_option("shaping", {"name": f"{user_module}:Mine", "strength": 2.0}, "context")
    assert (made.options.strength, made.context) == (2.0, "context")
    assert message("shaping", {"name": f"{user_module}:Mine", "strength": "x"}).startswith("shaping.strength must be")


def test_a_function_is_served_by_the_groups_own_option(user_module, tmp_path, monkeypatch):
    package = tmp_path / f"groups_{user_module}" / "reward"
    package.mkdir(parents=True)
    for name in ("__init__.py", "../__init__.py", "function.py"):
        (package / name).write_text("")
    monkeypatch.setattr(plugins, "ROOT", f"groups_{user_module}")
    assert find("reward", f"{user_module}:judge").__name__.endswith("reward.function")


def test_a_function_where_the_group_has_no_option_for_it_is_refused(user_module):
    with pytest.raises(ConfigError, match=r"shaping\.name must name a class with an inner class Options"):
        find("shaping", f"{user_module}:judge")


def test_what_cannot_be_imported_is_said(user_module, tmp_path):
    with pytest.raises(ConfigError, match=r"must name an importable module, got 'no_such_package.x:Y': no module"):
        resolve("no_such_package.x:Y", "critic.name")
    with pytest.raises(ConfigError, match=f"must name something in {user_module}, got 'Mone': did you mean 'Mine'"):
        resolve(f"{user_module}:Mone", "critic.name")
    for path in (":Mine", "mine:", "mine"):
        with pytest.raises(ConfigError, match=r"must be 'package.module:attribute'"):
            resolve(path, "critic.name")
    (tmp_path / "needs_more.py").write_text("import no_such_dependency")
    with pytest.raises(ConfigError, match="needs_more needs the module 'no_such_dependency', which is not installed"):
        resolve("needs_more:Mine", "critic.name")


def test_a_fault_inside_a_users_module_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_inside.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        resolve("broken_inside:Mine", "critic.name")


class Inner(Options):
    gain: float = Field(gt=0)


class Outer(Options):
    inner: Inner
    size: int


def test_faults_below_an_options_own_structure_name_the_whole_key():
    with pytest.raises(ValidationError) as error:
        Outer(inner={"gian": 1.0, "gain": -1.0}, size=1.5)
    assert sorted(describe(error.value, "top", Outer.model_fields)) == [
        "top.inner.gain must be > 0, got -1.0",
        "top.inner.gian must be a key of top.inner, and is none: did you mean 'gain'? known: gain",
        "top.size must be a valid integer, got 1.5",
    ]


def test_without_a_prefix_the_key_stands_alone():
    with pytest.raises(ValidationError) as error:
        Outer(inner={"gain": 1.0}, sise=2)
    assert describe(error.value, "", Outer.model_fields) == [
        "size must be given, it has no default",
        "sise must be a key of the configuration, and is none: did you mean 'size'? known: inner, size",
    ]
