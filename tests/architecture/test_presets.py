"""Every option and every preset composes and passes the checks that a run passes before anything is made."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf

from safelab.app.config.build import problems
from safelab.app.config.compose import compose, opened
from safelab.app.config.flat import as_yaml
from safelab.app.config.jobs import to_job
from safelab.app.sweep.expand import jobs_of

CONF = Path(__file__).resolve().parents[2] / "conf"
ALGORITHMS = sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))
SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
# (Sweeper and launcher act on many jobs, and ``adapter`` is of the commands that train on pairs; policy/adapter is an
# option.)
NO_OPTIONS = (".", "algorithm", "sweep", "recipe", "hydra/sweeper", "hydra/launcher", "adapter")
OPTIONS = sorted(
    (path.parent.relative_to(CONF).as_posix(), path.stem)
    for path in CONF.rglob("*.yaml")
    if path.parent.relative_to(CONF).as_posix() not in NO_OPTIONS
)
RECIPES = sorted(path.stem for path in (CONF / "recipe").glob("*.yaml"))

# What stands in for a value that only the user can give.
STAND_INS = {
    "policy.path": "a/model",
    "data.path": "prompts.txt",
    "data.of.path": "prompts.txt",
    "pairs.path": "pairs.jsonl",
    "data.column": "prompt",
    "reward.name": "support.runs:share_of_good",
    "reward.path": "a/classifier",
    "reward.of.path": "a/classifier",
    "evaluator.of.path": "a/classifier",
    "reward.url": "http://localhost:8000",
    "reward.members": "[{name: released_heuristic},{name: 'support.runs:share_of_good'}]",
}


@pytest.fixture(scope="module")
def hydra() -> Iterator[Hydra]:
    with opened() as opened_hydra:
        yield opened_hydra


def faults(hydra: Hydra, *overrides: str) -> list[str]:
    """What the checks say of a composed run whose open keys are filled."""
    composed = compose(hydra, overrides)
    open_keys = OmegaConf.missing_keys(composed)
    given = [f"{key}={STAND_INS[key]}" for key in sorted(open_keys) if not key.startswith("hydra.")]
    return problems(to_job(compose(hydra, [*overrides, *given]) if given else composed).config)


@cache
def committed(algorithm: str) -> dict[str, Any]:
    """A preset's resolved configuration."""
    found = yaml.safe_load((CONF.parent / "tests" / "configs" / f"{algorithm}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


NEEDED = {
    "critic=value_model": ["critic.path=org/reward-model"],
    "objective=logits_convex_dense": ["objective.path=org/verifier"],
    "data=tasks": ["world=exact"],
    "evaluator=right_answer": ["world=exact"],
    "reward=right_answer": ["world=exact"],
}
"""What an option must be told, where no default would do."""


def likely(group: str, name: str) -> list[str]:
    """All algorithms, those first that have this very option, then those of its kind: any will do, and one does."""
    key = f"{group.replace('/', '.')}.name"

    def distance(algorithm: str) -> tuple[bool, bool, bool, str]:
        has = committed(algorithm).get(key)
        # Its ratio to the sampler is a correction already, and it refuses another.
        corrected = group == "correction" and committed(algorithm).get("objective.anchor") == "rollout"
        return has != name, has in (None, "none"), corrected, algorithm

    return sorted(ALGORITHMS, key=distance)


def test_there_is_something_to_compose() -> None:
    assert len(ALGORITHMS) >= 5
    assert "demo" in SWEEPS
    assert len(OPTIONS) >= 40


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_is_sound(hydra: Hydra, name: str) -> None:
    assert faults(hydra, f"algorithm={name}") == []


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids=["=".join(option) for option in OPTIONS])
def test_an_option_is_sound_in_some_algorithm(hydra: Hydra, group: str, name: str) -> None:
    choice = f"{group}={name}"
    told = {}
    for algorithm in likely(group, name):
        # A model of one's own is told what it learns from; here any prompts will do.
        meant = ["world=small"] if group == "policy" else NEEDED.get(choice, [])
        told[algorithm] = faults(hydra, f"algorithm={algorithm}", choice, *meant)
        if not told[algorithm]:
            return
    pytest.fail(str(told))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_sound(hydra: Hydra, name: str) -> None:
    assert faults(hydra, f"+recipe={name}") == []


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_is_sound(hydra: Hydra, name: str) -> None:
    # Seeds are alike but for their number: one of them stands for all.
    jobs = jobs_of(hydra, [f"+sweep={name}", "seed=0"])
    assert len(jobs) >= 2
    assert {job.config["experiment"] for job in jobs} == {name}
    assert len({job.directory for job in jobs}) == len(jobs)
    assert [line for job in jobs for line in problems(job.config)] == []
    # Two arms that are one are a slip of the pen.
    methods = [as_yaml({**job.config, "arm": None}) for job in jobs]
    assert len({*methods}) == len(methods)


def test_the_demo_is_what_it_says(hydra: Hydra) -> None:
    jobs = jobs_of(hydra, ["+sweep=demo"])
    arms = {job.config["arm"] for job in jobs}
    assert arms == {"ppo_released", "safe_released", "ppo", "ppo_matched", "safe"}
    assert all(len({job.config["seed"] for job in jobs if job.config["arm"] == arm}) >= 3 for arm in arms)


@pytest.mark.parametrize(("name", "algorithm"), [("paper_main", "safe"), ("paper_main_ppo", "ppo_matched")])
def test_the_papers_setting_is_what_it_says(hydra: Hydra, name: str, algorithm: str) -> None:
    job = to_job(compose(hydra, [f"+recipe={name}"]))
    assert job.config["arm"] == algorithm
    assert job.config["experiment"] == "paper_main"
    assert job.config["policy"]["path"] == "Qwen/Qwen2.5-3B"
    assert (job.config["rollout"]["batch_size"], job.config["updates"]) == (16, 2000)
    # A folder's name is still a folder's name.
    assert to_job(compose(hydra, [f"+recipe={name}", "experiment=mine"])).config["experiment"] == "mine"
