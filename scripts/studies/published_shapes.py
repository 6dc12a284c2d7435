"""Two updates of each published preset on random weights of its very shape, without any hub.

    .venv/bin/python -m scripts.studies.published_shapes NAME ... [--batch 4] [--overrides KEY=VALUE ...]

Weights, tokenizer and prompts are made on the spot (``standins``): of the policy the published shape with its
vocabulary, of the reward model too where it is known, else 44M weights; prompts of the data's form. What the preset
says stays, but for what a small machine cannot have: ``--batch`` responses in an update (in as many minibatches as
still divide them), and ``--overrides``, as policy.dtype=bfloat16. One of 7 billion weights takes some 90 GB: for such a
model use ``dry_run=true``. Says how many weights, how long, and how many rows of
the run's log have finite numbers only.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelab.app.cli import main as safelab
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import to_job
from safelab.app.dry_run.shapes import SHAPES
from safelab.runlog.schema import NON_FINITE
from scripts.studies import standins

ROOT = Path(__file__).resolve().parents[2]
UPDATES = 2


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one preset: weights of the policy, seconds of the run, rows of its log, and how many are finite throughout."""

    name: str
    parameters: int
    seconds: float
    rows: int
    finite: int


def presets() -> list[str]:
    """The published runs."""
    return sorted(path.stem for path in (ROOT / "src" / "safelab" / "results" / "published").glob("*.csv"))


def recipe(name: str) -> dict[str, Any]:
    """What the preset says."""
    with opened() as hydra:
        return to_job(compose(hydra, [f"+recipe={name}"])).config


def overrides(name: str, config: Mapping[str, Any], folder: Path, batch: int, small: bool) -> list[str]:
    """What takes the place of the hub, and of a batch for a larger machine; writes models and data to ``folder``.

    Args:
        name: of the preset.
        config: what it says.
        folder: an empty one.
        batch: responses of an update.
        small: whether models are shrunk, for tests.
    """
    data = standins.write_data(folder, config["data"]["path"])
    cut = math.gcd(batch, config["optimizer"]["minibatches"])
    return [
        f"+recipe={name}", f"policy.path={folder / 'policy'}", f"data.path={data}", "data.limit=null",
        *reward_overrides(config["reward"], folder, small), f"updates={UPDATES}", f"rollout.batch_size={batch}",
        f"optimizer.minibatches={cut}", "checkpoint.every=0", f"output_dir={folder / 'runs'}", "resume=never",
        "device=cpu", "arm=preset",
    ]  # fmt: skip


def reward_overrides(reward: Mapping[str, Any], folder: Path, small: bool) -> list[str]:
    """The reward model, or each member of an ensemble, as a random classifier in ``folder``."""
    if members := reward.get("members"):
        own = [classifier(one["path"], folder / f"reward_{place}", small) for place, one in enumerate(members)]
        told = [{**one, "path": str(path)} for one, path in zip(members, own, strict=True)]
        return [f"reward.members=[{','.join(map(inline, told))}]"]
    path = classifier(reward["path"], folder / "reward", small)
    if reward["name"] == "sequence_classifier":
        return [f"reward.path={path}"]
    return ["reward=sequence_classifier", f"reward.path={path}"]


def inline(values: Mapping[str, Any]) -> str:
    """A mapping as the command line reads it."""
    return "{" + ",".join(f"{key}:{json.dumps(value)}" for key, value in values.items()) + "}"


def classifier(name: str, folder: Path, small: bool) -> Path:
    """Random weights of the shape of reward model ``name``."""
    shape = standins.CLASSIFIERS.get(name, standins.ANOTHER)
    standins.write_model(folder, standins.shrunk(shape) if small else shape, "float32", classifier=True)
    return folder


def run(name: str, folder: Path, batch: int, further: Sequence[str] = (), small: bool = False) -> Outcome:
    """Two updates of preset ``name`` in ``folder``.

    Raises:
        RuntimeError: the run failed.
    """
    config = recipe(name)
    told = overrides(name, config, folder, batch, small)
    shape = SHAPES[config["policy"]["path"]]
    dtype = dict(one.split("=", 1) for one in further).get("policy.dtype", config["policy"]["dtype"])
    parameters = standins.write_model(folder / "policy", standins.shrunk(shape) if small else shape, dtype)
    start = time.perf_counter()
    if code := safelab(["train", *told, *further]):
        raise RuntimeError(f"{name} ended with {code}")
    seconds = time.perf_counter() - start
    rows = [json.loads(line) for log in sorted(folder.glob("runs/**/metrics.jsonl")) for line in log.open()]
    return Outcome(name=name, parameters=parameters, seconds=seconds, rows=len(rows), finite=sum(map(finite, rows)))


def finite(row: Mapping[str, Any]) -> bool:
    """Whether every number of a row is finite: JSON has no others, which are therefore written as text."""
    return not any(isinstance(value, str) and value in NON_FINITE for value in row.values())


def shown(outcome: Outcome) -> str:
    """A line of the table."""
    return (
        f"{outcome.name.ljust(24)} {outcome.parameters:>14,} weights {outcome.seconds:>8.1f} s"
        f" {outcome.finite} of {outcome.rows} rows finite"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"presets: {', '.join(presets())}")
    parser.add_argument("--folder", type=Path, help="where models and runs lie meanwhile (a temporary folder)")
    parser.add_argument("--batch", type=int, default=4, help="responses of an update (4)")
    parser.add_argument("--small", action="store_true", help="shrunk models, to try the script itself")
    parser.add_argument("--overrides", nargs="+", default=[], metavar="KEY=VALUE", help="for every run")
    flags = parser.parse_args(arguments)
    for name in flags.names:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=flags.folder))
        try:
            print(shown(run(name, folder, flags.batch, flags.overrides, flags.small)), flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
