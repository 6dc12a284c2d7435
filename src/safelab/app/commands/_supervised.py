"""What ``safelab sft``, ``reward-model`` and ``value-model`` share: from the command line to a saved model."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from safelab.app.config.compose import compose, config_directory, opened, parse
from safelab.app.config.help import stage
from safelab.app.config.mistakes import missing, unresolved
from safelab.app.config.numbers import read_numbers
from safelab.app.config.places import at_home
from safelab.app.config.threads import AUTO, alone
from safelab.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from safelab.supervised.labels import Labels
    from safelab.supervised.options import SupervisedOptions

O = TypeVar("O", bound="SupervisedOptions")  # noqa: E741


def options_of(arguments: Sequence[str], name: str, usage: str, kind: Callable[[], type[O]]) -> O | None:
    """The validated options, or None if only help was asked for, which is printed.

    Args:
        arguments: of the command line.
        name: of the primary configuration.
        usage: the help.
        kind: gives the class of the options; late, because it imports torch.

    Raises:
        ConfigError: every fault at once.
    """
    flags = parse(arguments)
    if flags.help:
        print("\n".join([usage, "", "Keys:", *stage(config_directory(), name)]))
        return None
    if flags.multirun:
        raise ConfigError(f"safelab {name.replace('_', '-')} makes one model: -m is for safelab train")
    with opened(flags.config_dir) as hydra:
        config = compose(hydra, flags.overrides, name=name).copy()
    with open_dict(config):
        config.pop("hydra", None)
    try:
        if absent := sorted(OmegaConf.missing_keys(config)):
            raise ConfigError("\n".join(missing(key) for key in absent))
        values: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(unresolved(error)) from error

    from pydantic import ValidationError

    from safelab.options import describe, located

    read_numbers(values, OmegaConf.to_container(config, resolve=False), kind())
    values = located(kind(), at_home(values), Path.cwd())
    if values.get("threads") == AUTO:
        values["threads"] = alone()
    try:
        return kind()(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error, "", kind().model_fields))) from error


def run(
    options: O,
    title: str,
    load: Callable[[O, "torch.device"], Any],
    labels: Callable[[O, "torch.device"], "Labels"] | None = None,
) -> int:
    """Train, measure before and after on held-out pairs, save, print; returns the exit code.

    Args:
        options: validated.
        title: of what is made.
        load: gives the lesson.
        labels: gives who says which answer of a pair is the better one; None: the data.

    Raises:
        UserError: the pairs or the model cannot be read, or ``output`` is there already.
        RunFailed: the loss is not finite.
    """
    target = Path(options.output)
    if target.exists():
        raise ConfigError(f"output must not exist yet, got {target}; choose another, or remove it")
    import torch

    from safelab import __version__
    from safelab.app.config.build import pick_device
    from safelab.app.console import progress
    from safelab.corpus.fitting import readable
    from safelab.corpus.hh import agreeing, locate, read_dialogues
    from safelab.maths.streams import stream
    from safelab.pretrained.limits import beyond, trained_at
    from safelab.supervised.pairs import learn_from_pairs, pieces_of, split
    from safelab.supervised.saving import judge_of, save

    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    chosen = options.pairs
    file = locate(chosen.path, chosen.subset, chosen.split, "pairs.path")
    with progress() as say:
        records = split(read_dialogues(file, "pairs.path"), chosen)
        sides = [agreeing(side, "pairs.path", say) for side in records]
        named = None if labels is None else labels(options, device)  # before what learns, which may be larger
        lesson = load(options, device)
        lesson.model.eval()
        sides = [readable(side, lesson.read, "pairs", chosen.skip_unfit, say) for side in sides]
        pairs, held_out = sides if named is None else named.named(sides, say)
        measured_in = pieces_of(lesson, held_out, options)
        before = lesson.measure(measured_in)
        with stream(options.seed, "supervised"):
            rows = learn_from_pairs(lesson, pairs, options, say)
        after = lesson.measure(measured_in)
    limit = trained_at(lesson.model.config)
    if said := beyond("max_tokens", options.max_tokens, options.model, limit, f"use max_tokens={limit}"):
        print(f"note: {said}", file=sys.stderr)
    record = {
        "safelab": __version__,
        "config": options.model_dump(),
        "pairs": len(pairs),
        "pairs_held_out": len(held_out),
        "before": before,
        "after": after,
    }
    save(lesson, target, title, record, rows)
    print(f"{title}: {target}")
    if (judge := judge_of(record["config"])) is not None:
        print(f"  (held out: agreement with {judge}, which labelled the pairs kept back, too)")
    for name, value in after.items():
        print(f"  {name.replace('_', ' ').ljust(24)} {value:.4g} (before: {before[name]:.4g})")
    return 0
