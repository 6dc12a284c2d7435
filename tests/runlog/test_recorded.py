"""A recorded configuration is read as it was written; what is none is one message, at once and in little memory."""

import os
from pathlib import Path

import pytest
import yaml

from safelab.errors import DataError
from safelab.runlog.recorded import read_config
from safelab.runlog.schema import NEW_KEYS, config_today

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 30))


def test_it_is_what_was_written(tmp_path: Path) -> None:
    config = {"seed": 3, "policy": {"name": "local", "path": "/a/ä"}, "arms": [1, None, "x"], "lr": 1e-05}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    assert read_config(tmp_path) == {**config, "baseline": None, "correction": {"name": "none"}, "ranks": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it holds nothing"),
        ("- 1\n- 2\n", "it holds a list"),
        ("5\n", "it holds a int"),
        ("policy: {name: loc", "expected ',' or '}'"),
        ("a: &a {b: *a}\n", "by the alias *a"),
        (BOMB, "by the alias *a0"),
        (MERGED, "by the alias *a0"),
        ("a: " + "[" * 200 + "]" * 200, "it has more than 64 levels"),
        ("a: " + "[" * 20_000 + "]" * 20_000, "it has more than 64 levels"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("a: \x00\n", "unacceptable character"),
        ("a: 2020-99-99\n", "month must be in 1..12"),
        ("a: " + "x" * 4_200_000, "bytes, and may have"),
    ],
)
def test_what_is_none_is_one_message(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(DataError) as error:
        read_config(tmp_path)
    assert said in str(error.value)
    assert str(error.value).endswith("or remove the run's directory and train again")


def test_bytes_that_are_no_text_and_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_config(tmp_path)
    (tmp_path / "config.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(DataError, match="invalid leading UTF-8 octet"):
        read_config(tmp_path)
    (tmp_path / "config.yaml").unlink()
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(DataError, match="it is no regular file"):
        read_config(tmp_path)


@pytest.mark.parametrize("key", sorted(NEW_KEYS))
def test_a_run_from_before_a_key_has_what_it_did_then(key: str) -> None:
    (names, before), group = NEW_KEYS[key], key.partition(":")[0]
    for name in names:
        today = config_today({group: {"name": name, "other": 1}})[group]
        assert {"name": name, "other": 1, **before}.items() <= today.items()
        assert config_today({group: today})[group] == today
    assert config_today({group: {"name": "a user's own"}})[group] == {"name": "a user's own"}


def test_an_option_of_a_group_has_keys_that_the_others_lack() -> None:
    assert config_today({"data": {"name": "hub"}})["data"] == {"name": "hub", "skip_unfit": False, "first_words": None}
    assert config_today({"data": {"name": "text"}})["data"] == {"name": "text", "skip_unfit": False}


def test_options_that_others_hold_have_their_keys_too() -> None:
    member, model = {"name": "sequence_classifier", "path": "m"}, {"scale": "raw", "name": "sequence_classifier"}
    old = {
        "reward": {"name": "ensemble", "members": [member, {"name": "vader"}]},
        "evaluator": {"name": "reward", "of": member},
        "policy": {"name": "sequence_classifier"},
    }
    today = config_today(old)
    assert today["reward"]["members"] == [{**model, "path": "m"}, {"name": "vader"}]
    assert today["reward"]["variance_coef"] == 0.1
    assert today["evaluator"] == {"name": "reward", "of": {**model, "path": "m"}}
    assert today["policy"] == {"name": "sequence_classifier"}


OPTIONS = {
    "data:hub": "hub",
    "reward": "ensemble",
    "shaping": "none",
    "advantage": "gae",
    "optimizer": "adamw",
    "rollout": "vllm",
}


@pytest.mark.parametrize("key", OPTIONS)
def test_a_key_that_old_runs_are_given_is_one_of_the_option(key: str) -> None:
    file = Path(__file__).parents[2] / "conf" / key.partition(":")[0] / f"{OPTIONS[key]}.yaml"
    text = file.read_text(encoding="utf-8")
    assert set(NEW_KEYS[key][1]) <= set(yaml.safe_load(text))
