"""Whole runs on a policy of two thousand weights, composed from the real configuration."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from safelab.app.config.build import build, validate
from safelab.contracts import Context
from safelab.ranks import Ranks
from safelab.training.components import Components
from safelab.training.lifecycle.run import Outcome, train
from safelab.training.loop import train_loop
from safelab.training.state import TrainState, initial_state
from safelab.training.updates import update_of
from support.folders import NO_CACHE
from support.models import classifier_directory, model_directory, value_model_directory

CONF = Path(__file__).parents[2] / "conf"
FLAT = CONF.parent / "tests" / "configs"
PROMPTS, OUTPUTS = "the-prompts-of-a-test", "the-outputs-of-a-test"


def algorithms(offline: bool) -> list[str]:
    """Presets that learn from pairs, or those that learn by a loss on rollouts."""
    kind = "pairs" if offline else "rollouts"
    return sorted(path.stem for path in FLAT.glob("*.yaml") if _learns_from(path.read_text()) == kind)


def algorithms_by_votes() -> list[str]:
    """Presets that learn from votes between rollouts, without a loss."""
    return sorted(path.stem for path in FLAT.glob("*.yaml") if _learns_from(path.read_text()) == "votes")


def _learns_from(text: str) -> str:
    if 'preference.name: "none"' not in text:
        return "pairs"
    return "votes" if 'optimizer.name: "zeroth_order"' in text else "rollouts"


def share_of_good(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """The reward of the tests: how much of a response is the word ``good``."""
    return [response.split().count("good") / max(1, len(response.split())) for response in responses]


def always_one(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """A reward of 1, whatever is written."""
    return [1.0] * len(prompts)


def as_long_as_asked(prompts: Sequence[str], completions: Sequence[str], answer: Sequence[int]) -> list[float]:
    """A reward that reads the column ``answer``, which says how many words its prompt has; 1 for as many words."""
    assert [len(prompt.split()) for prompt in prompts] == list(answer), "each prompt has its own answer"
    return [float(len(text.split()) == count) for text, count in zip(completions, answer, strict=True)]


def resolved(*overrides: str) -> dict[str, Any]:
    """The resolved configuration of ``overrides`` on top of the defaults."""
    return deepcopy(_composed(overrides))


@cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    """Composed once for all tests of this process that ask for the same: it takes a quarter of a second."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["arm=test", *_threads(overrides), *overrides])
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _threads(overrides: tuple[str, ...]) -> list[str]:
    """One, where nobody says it: what ``auto`` means is settled by the command line, and differs by machine."""
    return [] if any(override.startswith("threads=") for override in overrides) else ["threads=1"]


def small(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    """A run of seconds: the tiny random policy, a dozen prompts from a file, the reward above.

    An advantage that reads a value model gets one of this policy's words, in place of the embedded world's, and a
    critic that starts from a reward model one of these words.
    """
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(["a b c", "d e", "f", "a", "c d e f", "b b"]) + "\n")
    config = resolved(
        "policy=local",
        "threads=1",
        f"policy.path={model_directory()}",
        "data=text",
        f"data.path={PROMPTS}",
        "reward=function",
        "reward.name='support.runs:share_of_good'",
        "rollout.batch_size=8",
        "rollout.max_new_tokens=6",
        "updates=3",
        "samples.every=2",
        f"output_dir={OUTPUTS}",
        *overrides,
    )
    config = _with({PROMPTS: str(prompts), OUTPUTS: str(tmp_path / "outputs")}, config)
    if config["advantage"].get("path", "") is None:
        config["advantage"]["path"] = str(value_model_directory())
    if config["critic"].get("path", "") is None:
        config["critic"]["path"] = str(classifier_directory())
    return config


def by_votes(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    """``small`` as a run by votes, which go by the reward: two perturbations of all weights, unless told otherwise."""
    few = ["optimizer.oracle.of=reward", "optimizer.perturbations=2", "rollout.batch_size=8", "optimizer.noise=own"]
    return small(tmp_path, "algorithm=zpg", "policy/adapter=none", *few, *overrides)


def _with(given: dict[str, str], node: Any) -> Any:
    """The configuration with the paths of one test where their stand-ins are, so that tests can share the rest."""
    if isinstance(node, dict):
        return {key: _with(given, value) for key, value in node.items()}
    return given.get(node, node) if isinstance(node, str) else node


def parts_of(config: dict[str, Any], ranks: Ranks | None = None) -> Components:
    """The run's parts."""
    validate(config)
    context = Context(seed=config["seed"], device=torch.device("cpu"), cache=NO_CACHE, ranks=ranks or Ranks())
    return build(config, context)


def trained(config: dict[str, Any], ranks: Ranks | None = None) -> tuple[Components, TrainState, list[dict[str, Any]]]:
    """Parts, last state and rows of a run that writes nothing."""
    parts = parts_of(config, ranks)
    state, rows = initial_state(parts), []
    for step in train_loop(parts, state, update_of(parts)):
        state = step.state
        rows.append(step.row)
    return parts, state, rows


def run(config: dict[str, Any]) -> tuple[Outcome, list[dict[str, Any]]]:
    """A run with its directory, and the rows that lie there."""
    outcome = train(parts_of(config), config, ["test"], "test")
    lines = (outcome.directory / "metrics.jsonl").read_text().splitlines()
    return outcome, [json.loads(line) for line in lines]


def numbers(rows: list[dict[str, Any]], drop: Callable[[str], bool] = lambda name: False) -> list[dict[str, Any]]:
    """Rows without what differs from run to run: times, speed and memory."""
    clocked = ("time/", "speed/", "memory/")
    return [{k: v for k, v in row.items() if not k.startswith(clocked) and not drop(k)} for row in rows]
