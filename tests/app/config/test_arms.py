"""What stands under ``arms:`` becomes overrides that Hydra reads back as they were meant; what is wrong is told."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from safelab.app.config.arms import arms_of, as_override, seeds_of, split
from safelab.errors import ConfigError

RESERVED = ("null", "true", "false", "nan", "inf")
WORDS = st.sampled_from([*RESERVED, "True", "1e-4", "0", "range(3)", "a,b", "a b", "x=1", "it's", "[a]", "c:d", ""])
TEXTS = WORDS | st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="$\\"), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
NAMES = st.from_regex(r"[a-z_]{1,6}", fullmatch=True).filter(lambda name: name not in RESERVED)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


def config(text: str):
    return OmegaConf.create(text)


@given(VALUES)
def test_hydra_reads_back_what_was_written(value: object) -> None:
    override = OverridesParser.create().parse_override(as_override("a.b", value))
    assert not override.is_sweep_override()
    assert repr(override.value()) == repr(value)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("algorithm", "safe", "algorithm=safe"),
        ("controller/gate", "none", "controller/gate=none"),
        ("optimizer.lr", 3.0e-4, "optimizer.lr=0.0003"),
        ("critic.polyak_rate", None, "critic.polyak_rate=null"),
        ("critic.detach", False, "critic.detach=false"),
        ("policy.path", "my models/a,b", "policy.path='my models/a,b'"),
        ("data.columns", ["a", "b c"], "data.columns=[a,'b c']"),
        ("phase.multipliers", {"warmup": 0.8}, "phase.multipliers={warmup:0.8}"),
        ("+extra", 1, "+extra=1"),
        ("~guard", None, "~guard"),
    ],
)
def test_an_override_is_written_as_on_the_command_line(key: str, value: object, text: str) -> None:
    assert as_override(key, value) == text


@pytest.mark.parametrize("given", ["arms=[safe,no_gate]", "arms=safe,no_gate"])
def test_arms_are_chosen_by_a_list(given: str) -> None:
    assert split(["+sweep=x", given, "seed=0"]) == (["safe", "no_gate"], ["+sweep=x", "seed=0"])


def test_one_arm_needs_no_list_and_a_name_with_a_comma_needs_quotes() -> None:
    assert split(["arms=safe"]) == (["safe"], [])
    assert split(["arms=['a,b=1']"]) == (["a,b=1"], [])
    assert split(["algorithm=safe"]) == (None, ["algorithm=safe"])


TWO = "arms: {safe: {algorithm: safe}, no_gate: {algorithm: safe, controller/gate: none}, as_is: {}}"


def test_each_arm_is_a_name_and_its_overrides() -> None:
    arms = {"safe": ["algorithm=safe"], "no_gate": ["algorithm=safe", "controller/gate=none"], "as_is": []}
    assert arms_of(config(TWO), None) == arms
    assert arms_of(config(TWO), ["no_gate", "no_gate"]) == {"no_gate": arms["no_gate"]}


def test_a_configuration_without_arms_has_none() -> None:
    assert arms_of(config("seed: 0"), None) is None
    with pytest.raises(ConfigError, match=r"arms=\[\.\.\.\] must come with a sweep that has arms, got none"):
        arms_of(config("seed: 0"), ["safe"])


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        ("[safe, ppo]", "arms must give each arm a name"),
        ("safe", "arms must give each arm a name"),
        ("null", "arms must give each arm a name"),
        ("{}", "arms must give each arm a name"),
        ("{safe: [algorithm=safe]}", "arms.safe must be a mapping of overrides"),
        ("{safe: safe}", "arms.safe must be a mapping of overrides"),
        ("{safe: null}", "arms.safe must be a mapping of overrides"),
        ("{1: {}}", "arms must be named by text, got 1"),
        ("{no: {}}", "arms must be named by text, got False"),
        ("{a/b: {}}", "an arm's name must be the name of one folder (text without slashes), got 'a/b'"),
        ("{..: {}}", "an arm's name must be the name of one folder"),
        ("{a: {seed: 3}}", "arms.a must not set seed: seeds hold for all arms"),
        ("{a: {arm: b}}", "arms.a must not set arm: "),
        ("{a: {arms: b}}", "arms.a must not set arms: "),
        ("{a: {+sweep: demo}}", "arms.a must not set +sweep: "),
        ("{a: {hydra/launcher: basic}}", "arms.a must not set hydra/launcher: "),
        ("{a: {hydra.verbose: true}}", "arms.a must not set hydra.verbose: "),
    ],
)
def test_malformed_arms_are_one_message(arms: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        arms_of(config(f"arms: {arms}"), None)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        arms_of(config("arms: {a: 1, b: {seed: 0}}"), None)
    head, *lines = str(error.value).splitlines()
    assert head == "2 things are wrong:"
    assert [line.split(" must")[0] for line in lines] == ["  arms.a", "  arms.b"]


def test_an_arm_that_is_not_there_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"arms has no 'no_gat': did you mean 'no_gate'\? known: as_is, "):
        arms_of(config(TWO), ["no_gat"])
    with pytest.raises(ConfigError, match=r"arms=\[\] leaves nothing to run; choose among: safe, no_gate, as_is"):
        arms_of(config(TWO), [])


@pytest.mark.parametrize(
    ("seed", "override"),
    [("range(3)", ["seed=range(3)"]), ("0,1,2", ["seed=0,1,2"]), ("[0, 1]", ["seed=0,1"]), ("3", [])],
)
def test_seeds_of_a_file(seed: str, override: list[str]) -> None:
    assert seeds_of(config(f"seed: {seed}")) == override


def test_no_seed_is_too_few() -> None:
    with pytest.raises(ConfigError, match="seed must name at least one seed"):
        seeds_of(config("seed: []"))
