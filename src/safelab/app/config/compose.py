"""Hydra's front: the command line becomes composed configurations. Every mistake in it ends in one ConfigError."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import safelab
from hydra_plugins.safelab_user_groups.source import SCHEME
from safelab.app.config import mistakes
from safelab.app.config.hydra_node import check_hydra_node
from safelab.app.config.names import PRESETS
from safelab.app.config.own_model import check_own_model
from safelab.errors import ConfigError

CONFIG_NAME = "config"

ALIASES = {
    "+experiment=": "+recipe=",
    "+experiments=": "+recipe=",
    # The plugin's own option seeks the lowest value; ours is the same sweeper, and says the direction and the metric.
    "hydra/sweeper=optuna": "hydra/sweeper=search",
}
"""Beginnings of overrides -> what they stand for: old ones, and Hydra's. (``experiment`` without ``+`` is the key that
names the folder.)"""

BARE_HOME = re.compile(r"""([^=~'"]+)=(~[^'"\[\]{}()\\]*)""")
"""A key with one or several paths below a home folder, without quotes."""


def config_directory() -> Path:
    """Where the groups lie: inside an installed package, or beside ``src`` in a checkout."""
    package = Path(safelab.__file__).resolve().parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parents[1] / "conf"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags and the overrides.

    Raises:
        ConfigError: a flag that Hydra does not know, or flags that exclude each other.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    flags = parser.parse_intermixed_args(list(arguments))
    if flags.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun is not supported: repeat the command in the run's overrides.yaml")
    shown = flags.multirun and flags.cfg == "job"  # of each job of the sweep
    modes = [flags.run, flags.multirun, flags.cfg is not None, flags.info is not None, flags.shell_completion]
    if sum(modes) > (2 if shown else 1):
        raise ConfigError(
            "--run, --multirun, --cfg, --info and --shell-completion exclude each other: give one "
            "(only --cfg job goes with --multirun)"
        )
    if flags.resolve and flags.cfg is None and not flags.help:
        raise ConfigError("--resolve must come with --cfg or --help")
    flags.overrides = [renamed(override) for override in flags.overrides]
    return flags


def renamed(override: str) -> str:
    """``override`` with its group as it is called today, and in quotes a ``~/`` that Hydra's grammar refuses bare."""
    for old, new in ALIASES.items():
        if override.startswith(old):
            return new + override.removeprefix(old)
    if (home := BARE_HOME.fullmatch(override)) is None:
        return override
    return f"{home[1]}={','.join(_quoted(one) for one in home[2].split(','))}"


def _quoted(path: str) -> str:
    return f"'{path}'" if path.startswith("~") else path


@contextmanager
def opened(config_dir: str | None = None, config_path: str | None = None) -> Iterator[Hydra]:
    """Hydra over safelab's groups; global while it is open.

    Args:
        config_dir: a user's own groups, which come before safelab's.
        config_path: a directory that stands in for safelab's groups altogether.

    Raises:
        ConfigError: either is no directory.
    """
    version.setbase("1.3")
    main = config_directory() if config_path is None else _directory(config_path, "--config-path")
    search_path = create_config_search_path(str(main))
    if config_dir is not None:
        extra = _directory(config_dir, "--config-dir")
        check_names(extra, "--config-dir")
        search_path.prepend("command-line", f"{SCHEME}://{extra}", SearchPathQuery(provider="schema"))
    try:
        yield Hydra.create_main_hydra2("safelab", search_path)
    finally:
        GlobalHydra.instance().clear()


def check_names(extra: Path, flag: str) -> None:
    """Refuse a folder of the user's with a file that safelab has by that name, too: Hydra would read safelab's.

    Raises:
        ConfigError: it is a run's folder, or has such files.
    """
    ours = config_directory()
    names = [file.relative_to(ours) for file in ours.rglob("*.yaml")]
    both = sorted(str(name) for name in names if (extra / name).is_file())
    if both and (extra / "run.json").is_file():
        raise ConfigError(
            f"{flag} must be a folder with groups of your own, got the run {extra}, whose config.yaml would not be "
            f"read: `safelab reproduce {extra}` runs it again, and its overrides.yaml is what its command said, to be "
            "changed and said again"
        )
    if both and not extra.samefile(ours):
        raise ConfigError(
            f"{flag} must not have files that are named as safelab's own, which would be read in their place, got "
            f"{', '.join(both)} in {extra}: give them other names"
        )


def compose(hydra: Hydra, overrides: Sequence[str], *, multirun: bool = False, name: str = CONFIG_NAME) -> DictConfig:
    """The configuration that ``overrides`` ask for, with Hydra's own node in it.

    Raises:
        ConfigError: it cannot be composed.
    """
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    if lines := mistakes.outdated(hydra, overrides):
        raise ConfigError("\n".join(lines))
    with explained(hydra, overrides, name):
        try:
            made = hydra.compose_config(config_name=name, overrides=[renamed(one) for one in overrides], run_mode=mode)
        except (AssertionError, AttributeError, KeyError, TypeError) as error:
            # Hydra's own, for a group without a name or a value of a kind that it does not look for.
            raise ConfigError(
                f"the overrides must be key=value or group=option, got {' '.join(overrides)!r}, of which Hydra makes "
                f"nothing ({type(error).__name__}: {str(error)[:100]})"
            ) from error
    check_hydra_node(made.hydra, many=multirun)
    if multirun:
        from safelab.app.config.launchers import told  # its imports are slow, and a single run has no launcher

        told(made.hydra.launcher)
    for place in made.hydra.searchpath:
        check_names(Path(str(place).removeprefix("file://")), "hydra.searchpath")
    _check_package(made)
    _check_experiment(hydra, made, overrides)
    if not multirun:
        with explained(hydra, overrides, name):
            check_own_model(hydra, [made], overrides)
    return made


def _check_experiment(hydra: Hydra, made: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse the name of a user's experiment, or of a recipe, without the ``+`` that adds its file.

    Raises:
        ConfigError: it would name a folder, and the run would have the defaults.
    """
    name = made.get("experiment")
    alone = f"experiment={name}" in overrides and "recipe" not in made.hydra.runtime.choices
    if alone and name in hydra.config_loader.get_group_options("recipe"):
        raise ConfigError(
            f"experiment={name} would only name the runs' folder, and there is a file of that name: add it with "
            f"+experiment={name}, or call the folder otherwise"
        )


def _check_package(made: DictConfig) -> None:
    """Refuse a preset whose keys went below its group's name instead of to the top.

    Raises:
        ConfigError: with the line that its file lacks.
    """
    for group in (*PRESETS, "algorithm"):
        option = made.hydra.runtime.choices.get(group)
        if group in made and isinstance(option, str):
            file = f"{group}/{option}.yaml" if group != "recipe" else f"recipe/ or experiment/{option}.yaml"
            raise ConfigError(
                f"{file} must begin with the line '# @package _global_', and lacks it: "
                f"its keys stand below {group!r}, where no run looks for them"
            )


@contextmanager
def explained(hydra: Hydra, overrides: Sequence[str] = (), name: str = CONFIG_NAME) -> Iterator[None]:
    """Whatever Hydra, OmegaConf or YAML raise inside becomes a ConfigError that says key, rule and nearest name."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(mistakes.explain(error, hydra, overrides, name)) from error
    except RecursionError:
        raise ConfigError(
            "a configuration must not contain itself: an alias (*name) leads back to its own &name"
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        # OmegaConf's own, for a file that is a bare number.
        raise ConfigError(f"a configuration file must hold keys with values: {error}") from error


def _directory(given: str, flag: str) -> Path:
    path = Path(os.path.expanduser(given)).absolute()
    if not path.is_dir():
        raise ConfigError(f"{flag} must be an existing directory, got {given}")
    return path


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"safelab train: {message}; `safelab train --help` lists flags and groups")
