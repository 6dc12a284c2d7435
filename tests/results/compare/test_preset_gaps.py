"""What separates runs from a preset: keys, seeds and arms, by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from safelab.results.compare.preset_gaps import Preset, gaps_between, preset_gaps
from safelab.results.paper_model import PresetGap
from safelab.results.runs.load import load

CONF = Path(__file__).resolve().parents[3] / "conf"
MakeRun = Callable[..., Path]
ASKED = {"updates": 1000, "seed": 0, "threads": 1, "data": {"seed": 0}, "policy": {"path": "large", "lora": None}}
HERE = {"updates": 2, "seed": 3, "threads": 4, "data": {"seed": 3}, "policy": {"path": "small", "lora": None}}


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> Path:
    for arm in ("ppo", "rloo"):
        make_run(arm, 3, config=HERE)
    return tmp_path


def test_keys_that_differ_once_for_arms_that_agree(folder: Path) -> None:
    rloo = {**ASKED, "updates": 500}
    found = preset_gaps(load([folder]), Preset(arms={"ppo": ASKED, "rloo": rloo}, seeds={"ppo": [3], "rloo": [3]}))
    assert [gap for gap in found if gap.key in ("updates", "policy.path", "policy.lora", "data.seed", "threads")] == [
        PresetGap(key="updates", preset="1000", here="2", arms=["ppo"]),
        PresetGap(key="policy.path", preset="large", here="small", arms=["ppo", "rloo"]),
        PresetGap(key="updates", preset="500", here="2", arms=["rloo"]),
    ]


def test_every_run_that_counts_is_compared(make_run: MakeRun, tmp_path: Path) -> None:
    asked = {**ASKED, "lr": 0.1}
    for seed, rate in enumerate((0.1, 0.2, 0.1, 0.3)):
        config = {**asked, "seed": seed, "data": {"seed": seed}, "lr": rate}
        make_run("ppo", seed, config=config, status="failed" if seed == 3 else "finished")
    loaded = load([tmp_path])
    config = loaded.runs[0].record.config
    found = preset_gaps(loaded, Preset(arms={"ppo": config}, seeds={"ppo": [0, 1, 2]}))
    assert found == [PresetGap(key="lr", preset="0.1", here="0.1 and 0.2", arms=["ppo"])]


def test_arms_and_seeds_without_runs(folder: Path) -> None:
    found = preset_gaps(
        load([folder]),
        Preset(arms={"ppo": HERE, "dar": HERE, "sft": HERE}, seeds={"ppo": [3, 4, 5], "dar": [3], "sft": [3]}),
    )
    assert [gap for gap in found if gap.key in ("seed", "arm")] == [
        PresetGap(key="seed", preset="3, 4, 5", here="3", arms=["ppo"]),
        PresetGap(key="arm", preset="dar, sft", here="no run", arms=["dar", "sft"]),
    ]


def test_a_key_that_only_one_side_has_is_told(folder: Path) -> None:
    asked = {**HERE, "guard": {"name": "stop"}}
    found = preset_gaps(load([folder]), Preset(arms={"ppo": asked}, seeds={"ppo": [3]}))
    assert PresetGap(key="guard.name", preset="stop", here="–", arms=["ppo"]) in found


def test_runs_that_are_as_the_preset_have_none(folder: Path) -> None:
    config = load([folder]).runs[0].record.config
    assert (
        preset_gaps(load([folder]), Preset(arms={"ppo": config, "rloo": config}, seeds={"ppo": [3], "rloo": [3]})) == []
    )


def test_of_another_option_only_the_name_is_told(folder: Path) -> None:
    asked = {**HERE, "policy": {**HERE["policy"], "adapter": {"name": "lora", "rank": 8}}, "other": 1}
    made = {**HERE, "policy": {**HERE["policy"], "adapter": {"name": "none"}}}
    seeds = {"ppo": [3]}
    found = gaps_between(Preset(arms={"ppo": asked}, seeds=seeds), Preset(arms={"ppo": made}, seeds=seeds))
    assert [gap.key for gap in found] == ["policy.adapter.name", "other"]


@pytest.mark.parametrize(
    ("asked", "made", "keys"),
    [
        # Both values happen to be the seeds: only what is a seed follows them.
        ({"staleness": 0, "seed": 0}, {"staleness": 1, "seed": 1}, ["rollout.staleness"]),
        ({"staleness": 0, "seed": 0}, {"staleness": 0, "seed": 1}, []),
        ({"staleness": 0, "seed": 0}, {"staleness": 0, "seed": 7}, ["rollout.seed"]),
    ],
)
def test_only_seeds_follow_the_runs_seed(asked: dict[str, int], made: dict[str, int], keys: list[str]) -> None:
    theirs, ours = {"seed": 0, "rollout": asked}, {"seed": 1, "rollout": made}
    found = gaps_between(
        Preset(arms={"ppo": theirs}, seeds={"ppo": [1]}), Preset(arms={"ppo": ours}, seeds={"ppo": [1]})
    )
    assert [gap.key for gap in found] == keys


def test_no_option_takes_the_runs_seed_under_another_name() -> None:
    taken = [line for file in CONF.rglob("*.yaml") for line in file.read_text().splitlines() if "${seed}" in line]
    assert taken
    assert [line for line in taken if not line.strip().startswith("seed: ${seed}")] == []
