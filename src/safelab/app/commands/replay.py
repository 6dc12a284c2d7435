"""``safelab replay``: step a controller over recorded signals, without a model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import OmegaConf

from safelab.app.arguments import Parser, at_home, place
from safelab.app.config.compose import compose, explained, opened
from safelab.app.config.places import cache_directory
from safelab.contracts import Context
from safelab.errors import ConfigError
from safelab.plugins import build_option


def main(arguments: Sequence[str]) -> int:
    """What ``safelab replay`` does with its arguments; returns the exit code.

    Raises:
        UserError: wrong arguments, configuration or signals.
    """
    parser = Parser(
        prog="safelab replay",
        usage="safelab replay (--signals FILE.csv | RUN_DIR) controller=NAME [overrides]\n"
        "                      --output OUT.csv [--figure OUT.png]",
        description="Steps a controller over recorded signals, one row a step: what would this stack have done?",
    )
    parser.add_argument("--signals", type=place, help="CSV with reward_mean, kl_ref_token_k1, entropy_token")
    parser.add_argument(
        "--output", type=place, required=True, help="CSV to write: threshold, penalty, gate, phase, ..."
    )
    parser.add_argument("--figure", type=place, help="picture to write (png, svg or pdf)")
    parser.add_argument("--config-dir", help="a folder with your own groups")
    parser.add_argument("words", nargs="*", metavar="RUN_DIR or override", help="a run directory; Hydra overrides")
    flags = parser.parse_intermixed_args(list(arguments))
    words = [at_home(word) if word.startswith("~/") else word for word in flags.words]  # ~key takes a key out
    runs = [word for word in words if _is_place(word)]
    overrides = [word for word in words if word not in runs]
    if len(runs) + (flags.signals is not None) != 1:
        raise ConfigError("safelab replay must get one source, --signals FILE.csv or a run directory, and got "
                          f"{len(runs) + (flags.signals is not None)}")  # fmt: skip
    for path in filter(None, (flags.output, flags.figure)):
        if not path.parent.is_dir():
            raise ConfigError(f"{path} must lie in a directory that exists; make {path.parent} first")
    return replay_to(flags.signals, runs, overrides, flags)


def _is_place(word: str) -> bool:
    """Whether a word is a run's directory and no override: folders of runs are named by overrides, ``=`` and all."""
    return Path(word).is_dir() or ("=" not in word and not word.startswith("~"))


def replay_to(
    signals_file: Path | None, runs: Sequence[str], overrides: Sequence[str], flags: argparse.Namespace
) -> int:
    """Read, step, write; nothing is written before everything was read and stepped."""
    from safelab.results.replay.steps import read_signals, replay, run_signals, write_rows

    with opened(flags.config_dir) as hydra:
        config = compose(hydra, overrides)
        with explained(hydra, overrides):
            controller_config = OmegaConf.to_container(config.controller, resolve=True)
    context = Context(seed=0, device=torch.device("cpu"), cache=cache_directory())
    controller = build_option("controller", controller_config, context)  # type: ignore[arg-type]
    signals = read_signals(signals_file) if signals_file is not None else run_signals(Path(runs[0]))
    rows = replay(controller, signals)
    write_rows(flags.output, rows)
    if flags.figure is not None:
        from safelab.results.replay.figure import draw

        source = signals_file if signals_file is not None else runs[0]
        title = f"{config.hydra.runtime.choices['controller']} over {source}"
        draw(signals, rows, title, flags.figure)
    active = sum(row["active"] for row in rows)
    print(f"{len(rows)} steps, penalty active in {active} of them: {flags.output}")
    return 0
