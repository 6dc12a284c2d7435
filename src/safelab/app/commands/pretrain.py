"""``safelab pretrain``: make the embedded world alone, and say what came of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safelab.app.config.compose import CONFIG_NAME, compose, opened, parse
from safelab.app.config.jobs import to_job
from safelab.app.config.places import cache_directory

USAGE = """usage: safelab pretrain [-m] [--config-dir DIR] [overrides]

Makes the models of an embedded world: one policy per world, one reward model
per seed (not in world=exact, which needs none), for algorithm=dvpo a value
model per seed too. They are made once, on
first use; this command makes them now. With -m, overrides may name several
values: safelab pretrain -m seed=0,1,2

  world=small|large|exact  which one; world.seed is the policy's
  seed=N                   of reward model and value model, which is the run's"""


def main(arguments: Sequence[str]) -> int:
    """Make what the overrides describe and print the measurements; returns the exit code.

    Raises:
        UserError: wrong arguments or configuration, or a cache that cannot be written.
    """
    flags = parse(arguments)
    if flags.help:
        print(USAGE)
        return 0
    from safelab.app.config.preflight import check_options
    from safelab.app.console import progress
    from safelab.app.sweep.expand import is_sweep, jobs_of

    name = flags.config_name or CONFIG_NAME
    with opened(flags.config_dir, flags.config_path) as hydra:
        if flags.multirun or is_sweep(hydra, flags.overrides, name):
            jobs = jobs_of(hydra, flags.overrides, name)
        else:
            jobs = [to_job(compose(hydra, flags.overrides, name=name))]
    check_options(jobs)
    with progress() as say:
        places = [place for job in jobs for place in make(job.config, say)]
    for place in dict.fromkeys(places):
        report(place)
    return 0


def make(config: Mapping[str, Any], say: Callable[[str], None]) -> list[Path]:
    """What of a configuration's world and seed a run needs, made if need be: policy, reward model, value model."""
    from safelab.world.artifacts import ensure_language_model, ensure_reward_model, ensure_value_model
    from safelab.world.options import WorldOptions

    world, cache, seed = WorldOptions(**config["world"]), cache_directory(), config["seed"]
    places = [ensure_language_model(world, cache, say)]
    # In a world of reviews always: another reward may hold it, and a sweep's other arms may have it.
    if config["world"].get("tasks") is None or config["reward"]["name"] == "tiny_rm":
        places.append(ensure_reward_model(world, seed, cache, say))
    advantage = config["advantage"]
    if advantage["name"] == "static_value" and advantage["path"] is None:
        places.append(ensure_value_model(world, seed, cache, say))
    return places


def report(place: Path) -> None:
    """One model: where it is, and what was measured on it."""
    from safelab.world.cache import read_manifest

    manifest = read_manifest(place)
    print(f"{manifest['kind'].replace('_', ' ')}: {place}")
    for name, value in manifest["measured"].items():
        print(f"  {name.replace('_', ' ').ljust(24)} {value:.4g}")
