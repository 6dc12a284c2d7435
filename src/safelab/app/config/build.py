"""From a resolved configuration to the parts of a run: validated whole, then built in the order of need."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from safelab.app.config.other_names import meant_by
from safelab.app.config.places import cache_directory
from safelab.contracts import Context, drawn_columns, drawn_pairs, drawn_prompts, reading_of
from safelab.corpus.fitting import reader
from safelab.crash.detectors import DetectorOptions
from safelab.errors import ConfigError, DataError, nearest
from safelab.options import describe
from safelab.plugins import build_option, faults
from safelab.ranks import Ranks
from safelab.runlog.flat import leaves
from safelab.training.components import Components
from safelab.training.fit import built_misfit, check_length, misfits
from safelab.training.loop import train_update
from safelab.training.own_models import check_models, needs_of
from safelab.training.rollouts import prompts_per_rollout
from safelab.training.settings import Settings
from safelab.training.updates import update_of
from safelab.world.options import WorldOptions

GROUPS = tuple(field.name for field in fields(Components) if field.name not in ("settings", "detectors", "ranks"))
"""The groups whose options are parts, in the order in which they are built."""


def validate(config: Mapping[str, Any]) -> None:
    """Check every key of ``config``; nothing is built and nothing is written.

    Raises:
        ConfigError: all faults, one a line.
    """
    if lines := problems(config):
        raise ConfigError("\n".join(lines))


def problems(config: Mapping[str, Any], here: bool = True) -> list[str]:
    """All that is wrong with ``config``, one line each; parts are asked to fit together once each is sound.

    Args:
        config: resolved.
        here: whether the run's device must be in this machine.
    """
    settings = tuple(Settings.model_fields)
    lines = unknown(config)
    lines += _model(Settings, {key: config[key] for key in settings if key in config}, "")
    lines += _model(DetectorOptions, config.get("detectors"), "detectors")
    lines += _model(WorldOptions, config.get("world"), "world")
    for group in GROUPS:
        # Parts that read ${seed} or ${world} repeat their faults.
        lines += [line for line in _option(group, config.get(group)) if line.removeprefix(f"{group}.") not in lines]
    return lines or _device(config, here) + misfits(config)


def unknown(config: Mapping[str, Any]) -> list[str]:
    """The keys of ``config`` that no run has, one line each."""
    known = {*Settings.model_fields, "world", "detectors", *GROUPS}
    lines = []
    for key, value in config.items():
        if key not in known:
            meant = next(filter(None, map(meant_by, leaves({key: value}))), None)
            said = f"did you mean {meant}?" if meant else nearest(str(key), known)
            lines.append(f"{key} is not a key of the configuration, got {value!r}: {said}")
    return lines


def build(config: Mapping[str, Any], context: Context) -> Components:
    """Every part of the run that ``config`` describes.

    Raises:
        ConfigError, DataError: what a part's own check or a missing file says.
    """
    validate({**config, "ranks": context.ranks.size})  # a run of many processes may be looked at by one
    made: dict[str, Any] = {}
    for group in GROUPS:
        made[group] = build_option(group, config[group], context)
        if group in ("policy", "reward"):
            context = replace(context, **{group: made[group]})
        if group == "evaluator":
            asked = reading_of(made["reward"]) | reading_of(made["evaluator"])
            context = replace(context, reading=context.reading | asked)
        if group == "policy":
            check_length(config, made["policy"].positions)
            check_models(made["policy"], needs_of(config))
        if group == "critic":
            check_length(config, getattr(made["critic"], "positions", None), "critic")
    settings, detectors = settings_of(config), DetectorOptions(**config["detectors"])
    parts = Components(settings=settings, detectors=detectors, ranks=context.ranks, **made)
    if reads_padding(parts):
        parts.policy.keep_padding()
    if parts.controller.reference is not None and parts.controller.reference.moves:
        parts.policy.have_moving()  # read as the frozen one is
    by_loss = update_of(parts) is train_update  # other updates read no advantage
    if by_loss and (said := built_misfit(parts.advantage.needs, parts.advantage.name, parts.critic)):
        raise ConfigError(said)
    check_first_texts(parts, reader(context))
    return parts


def reads_padding(parts: Components) -> bool:
    """Whether a part looks at what stands behind a response's end, as SAFE's released code does."""
    entropies = getattr(parts.objective, "entropy_positions", "response")
    return entropies == "all" or getattr(parts.critic, "reads_padding", False)


def check_first_texts(parts: Components, read: Callable[[str], None]) -> None:
    """What the first update will be given can be read: a source of the user's own is asked before anything is made.

    Raises:
        DataError: it is not what its contract says, policy or reward cannot read a prompt, or a column is not there.
    """
    count = prompts_per_rollout(parts)
    prompts = drawn_prompts(parts.data, 0, count)
    drawn_columns(parts.data, parts.reading, 0, count)
    check_pairs(parts)
    if parts.pairs is not None:
        prompts += [pair.prompt for pair in drawn_pairs(parts.pairs, 0, parts.pairs.batch_size)]
    for prompt in prompts:
        read(prompt)


def check_pairs(parts: Components) -> None:
    """What scores pairs reads no column, and pairs that are sorted beforehand can be told apart.

    Raises:
        DataError: a part that is asked reads a column, or the source does not number its pairs.
    """
    if parts.preference is None:
        return
    asked = {"reward": parts.preference.needs_reward or parts.preference.sorts, "evaluator": parts.preference.sorts}
    for group in (name for name, is_asked in asked.items() if is_asked):
        if must := reading_of(getattr(parts, group)).must:
            raise DataError(
                f"{group} must read no column of the data where pairs are scored, which have none, got "
                f"{', '.join(must)}"
            )
    if parts.preference.sorts and parts.pairs is not None and parts.pairs.size is None:
        raise DataError(
            "pairs must have a size and numbers (safelab.contracts.PairSource) where they are sorted before the first "
            f"update, got none from {type(parts.pairs).__name__}"
        )


def context_for(config: Mapping[str, Any], progress: Callable[[str], None], ranks: Ranks | None = None) -> Context:
    """What the parts may know of their surroundings: seed, device, cache, and the processes beside this one."""
    device = pick_device(config["device"], 1 if ranks is None else ranks_here(config))
    if device.type == "cuda" and ranks is not None and ranks.size > 1:
        device = torch.device("cuda", ranks.local)
    return Context(
        seed=config["seed"], device=device, cache=cache_directory(), progress=progress, ranks=ranks or Ranks()
    )


def ranks_here(config: Mapping[str, Any]) -> int:
    """Processes of the run on this machine: all of them, unless ``torchrun`` has others elsewhere."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", config["ranks"])) if config["ranks"] > 1 else 1


def pick_device(name: str, ranks: int = 1) -> torch.device:
    """``auto`` is CUDA's first GPU or the CPU; Apple's (``mps``), where we have run nothing, has to be asked for.

    ``ranks``: processes of the run on this machine, each of which takes a GPU of its own.

    Raises:
        ConfigError: no such device here.
    """
    check_device_name(name, ranks)
    count = torch.cuda.device_count()
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    if name == "auto" and ranks == 1:
        return device
    if device.type == "cuda" and 1 < ranks > count > 0:
        raise ConfigError(
            f"ranks must be at most the {count} GPUs that are visible here, got {ranks}: or add device=cpu"
        )
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"device must be here, got {name!r}: {count} GPUs are visible; use auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device must be here, got 'mps': torch finds no Apple GPU; use auto or cpu")
    return device


def check_device_name(name: str, ranks: int = 1) -> None:
    """Refuse what can be no device anywhere, or none for each of ``ranks`` processes.

    Raises:
        ConfigError: saying which there are.
    """
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name) is None:
        raise ConfigError(f"device must be cpu, cuda, cuda:N, mps or auto, got {name!r}")
    if ranks > 1 and name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda with ranks={ranks}, a GPU for each, got {name!r}")


def settings_of(config: Mapping[str, Any]) -> Settings:
    """The run's own keys."""
    return Settings(**{key: config[key] for key in Settings.model_fields})


def _model(model: type[BaseModel], config: Any, key: str) -> list[str]:
    if not isinstance(config, Mapping):
        return [f"{key} must be a group of keys, got {config!r}"]
    try:
        model(**config)
    except ValidationError as error:
        return describe(error, key, model.model_fields)
    return []


def _option(group: str, config: Any) -> list[str]:
    if not isinstance(config, Mapping):
        return [f"{group} must be one of its options, got {config!r}: add {group}=..."]
    return faults(group, config)


def _device(config: Mapping[str, Any], here: bool) -> list[str]:
    name, ranks = config["device"], ranks_here(config)
    try:
        pick_device(name, ranks) if here else check_device_name(name, ranks)
    except ConfigError as error:
        return [str(error)]
    return []
