"""Every name that the table leads to is there, with the options that it names."""

import pytest
from omegaconf import OmegaConf

from safelab.app.config.compose import compose, opened
from safelab.app.config.groups import groups_of
from safelab.app.config.other_names import ELSEWHERE, meant_by

WORDS = sorted({*ELSEWHERE.values()})


@pytest.mark.parametrize("words", WORDS)
def test_what_stands_here_in_place_of_a_name_is_there(hydra, words: str) -> None:
    told = words.split()
    config = compose(hydra, [word for word in told if "=" in word], multirun=True)
    for key in told:
        if "=" not in key and key not in groups_of(hydra):
            parent, _, last = key.rpartition(".")
            assert last in {*(OmegaConf.select(config, parent) if parent else config).keys()}  # also those at ???


@pytest.fixture(scope="module")
def hydra():
    with opened() as one:
        yield one


def test_a_name_is_looked_up_whole_and_then_by_its_last_part() -> None:
    assert meant_by("learning_rate") == meant_by("trainer.learning_rate") == "optimizer.lr"
    assert meant_by("rollout.n") == "rollout.samples_per_prompt"
    assert meant_by("model_name_or_path") == "policy.path (with policy=local)"
    assert meant_by("n") is None
