import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from safelab.app.config.names import LONGEST_ARM, arm_name, folder_fault, swept, without_implied


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "safe"),
        (["controller/gate=none"], "safe,controller-gate=none"),
        (["critic.value_loss=huber"], "safe,critic.value_loss=huber"),
        (["optimizer.lr=1e-4"], "safe,optimizer.lr=0.0001"),
        (["optimizer.lr=0.0001"], "safe,optimizer.lr=0.0001"),
        (["critic.detach=True"], "safe,critic.detach=true"),
        (["critic.polyak_rate=null"], "safe,critic.polyak_rate=none"),
        (["b=2", "a=1"], "safe,a=1,b=2"),
        (["a=1", "a=2"], "safe,a=2"),
        (["~guard"], "safe,~guard=deleted"),
        (["world=large"], "safe,world=large"),
    ],
)
def test_an_arm_is_the_algorithm_and_what_changes_it(overrides: list[str], name: str) -> None:
    assert arm_name("safe", overrides) == name


@pytest.mark.parametrize(
    "override",
    [
        "seed=3", "updates=9", "output_dir=x", "experiment=y", "arm=null", "device=cpu", "threads=2",
        "+sweep=demo", "+recipe=paper_main", "tracker=wandb", "tracker.mode=online", "checkpoint.every=5",
        "samples.count=1", "hydra.verbose=true", "hydra/launcher=basic",
    ],
)  # fmt: skip
def test_what_computes_the_same_makes_no_other_arm(override: str) -> None:
    assert arm_name("safe", [override]) == "safe"


def test_of_paths_and_of_functions_the_name_stays_legible() -> None:
    assert arm_name("ppo", ["data.path=/here/prompts.txt"]) == "ppo,data=prompts.txt"
    assert arm_name("ppo", ["reward.name='mine.rewards:positive'"]) == "ppo,reward=mine.rewards.positive"


def test_what_tells_most_comes_first_and_is_cut_last() -> None:
    told = ["aggregation=token_mean", "policy.path=a/sft", "data.path=p.txt", "rollout.max_new_tokens=64"]
    assert arm_name("ppo", told) == "ppo,data=p.txt,policy=sft,aggregation=token_mean,rollout.max_new_tokens=64"


def test_the_option_of_a_group_is_left_out_where_its_path_or_name_is_there() -> None:
    told = ["policy=local", "policy.path=a/sft", "reward=function", "reward.name='m:f'", "data=reviews", "critic.lr=1"]
    kept = ["policy.path=a/sft", "reward.name='m:f'", "data=reviews", "critic.lr=1"]
    assert without_implied(told) == kept


def test_without_an_algorithm() -> None:
    assert arm_name(None, ["a=1"]) == "none,a=1"


@given(st.lists(st.text("ab é|*\\n", min_size=1, max_size=80), min_size=1, max_size=4))
def test_any_value_makes_a_folder_name_and_different_ones_stay_different(values: list[str]) -> None:
    quoted = [value.replace("\\", "\\\\").replace("'", "\\'") for value in values]
    name = arm_name("safe", [f"key{index}='{value}'" for index, value in enumerate(quoted)])
    assert len(name) <= LONGEST_ARM
    assert name.isascii()
    assert folder_fault("arm", name) is None
    other = arm_name("safe", [f"key{index}='{value}x'" for index, value in enumerate(quoted)])
    assert name != other


def labels(*told: str):
    return swept(OverridesParser.create().parse_overrides([*told]))


def test_what_a_sweep_is_told_several_values_of_is_in_its_arms_names() -> None:
    told = "algorithm=ppo,safe", "policy=local", "seed=0,1", "optimizer.lr=interval(1e-5,1e-3)", "+recipe=a,b"
    assert labels(*told) == {"algorithm": {}, "optimizer.lr": {}}
    assert labels("algorithm=safe", "seed=0,1", "policy.path=a/sft") == {}


def test_paths_with_one_last_part_are_told_apart_by_their_folders() -> None:
    found = labels("data.path=/here/a/p.txt,'/there/a/p.txt'", "policy.path=x/sft,x/base")
    assert found == {
        "data.path": {"/here/a/p.txt": "here_a_p.txt", "/there/a/p.txt": "there_a_p.txt"},
        "policy.path": {},
    }
    assert arm_name("ppo", ["data.path=/here/a/p.txt"], found) == "ppo,data=here_a_p.txt"
