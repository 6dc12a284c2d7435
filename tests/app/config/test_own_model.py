"""A model of one's own needs its data, reward and pairs named; however it is chosen, and whoever names them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra

from safelab.app.config.compose import compose, opened
from safelab.app.sweep.expand import jobs_of
from safelab.errors import ConfigError

OWN = ["policy=local", "policy.path=m"]


@pytest.fixture
def hydra(tmp_path: Path) -> Iterator[Hydra]:
    """With a recipe and a primary configuration of the user's."""
    (tmp_path / "recipe").mkdir()
    recipe = "# @package _global_\ndefaults:\n  - override /policy: qwen2_5_0_5b\n  - override /data: reviews\n"
    (tmp_path / "recipe" / "toy_data.yaml").write_text(recipe)
    (tmp_path / "mine.yaml").write_text("defaults:\n  - config\n  - override policy: qwen2_5_0_5b\n  - _self_\n")
    with opened(str(tmp_path)) as opened_hydra:
        yield opened_hydra


@pytest.mark.parametrize(
    ("overrides", "lacking"),
    [
        (OWN, "data, reward"),
        (["policy=qwen2_5_0_5b"], "data, reward"),
        ([*OWN, "data=hh_rlhf"], "reward"),
        ([*OWN, "reward=armorm"], "data"),
        (["policy.name=my_models:Mine"], "data, reward"),
        ([*OWN, "algorithm=dpo", "data=hh_rlhf", "reward=armorm"], "pairs"),
        (["+recipe=toy_data"], "reward"),
    ],
)
def test_what_is_the_worlds_by_default_is_refused(hydra: Hydra, overrides: list[str], lacking: str) -> None:
    with pytest.raises(ConfigError, match=f"^{lacking} must be given with policy=") as caught:
        compose(hydra, overrides)
    example = str(caught.value).split("`")[1].removeprefix("safelab train ").split()
    compose(hydra, example)  # the command that the message gives is one that works


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["algorithm=dpo"],
        [*OWN, "world=small"],
        [*OWN, "data=reviews", "reward=tiny_rm"],
        [*OWN, "data=hh_rlhf", "reward.name=mine:f"],
        ["+recipe=paper_main"],
        [*OWN, "algorithm=dpo", "data=hh_rlhf", "reward=armorm", "pairs=world"],
    ],
)
def test_what_was_said_is_taken(hydra: Hydra, overrides: list[str]) -> None:
    compose(hydra, overrides)


def test_a_primary_configuration_of_ones_own_is_asked_too(hydra: Hydra) -> None:
    with pytest.raises(ConfigError, match=r"^data, reward must be given with policy=qwen2_5_0_5b"):
        compose(hydra, [], name="mine")


def test_a_sweep_is_told_once(hydra: Hydra) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs_of(hydra, ["policy=tiny,qwen2_5_0_5b", "algorithm=ppo,dpo", "seed=0,1"])
    assert str(caught.value).startswith("data, reward, pairs must be given with policy=qwen2_5_0_5b")
    assert len(str(caught.value).splitlines()) == 1
