"""What a user's mistake in the configuration is told: key, rule, value, and the nearest known name."""

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from safelab.app.config.groups import groups_of
from safelab.app.config.other_names import meant_by
from safelab.errors import nearest

NO_LONGER = {
    "change": "write the override itself (controller/gate=none), or an arm of a sweep: "
    "+sweep=ablate_controller arms=no_gate",
    "tuned": "its settings are the arms of a sweep: +sweep=baselines arms=safe",
    "stability": "its settings are the arms of a sweep: +sweep=stability arms=safe",
}
"""Groups that there were once, each with what stands in its place."""


def outdated(hydra: Hydra, overrides: Sequence[str]) -> list[str]:
    """One line for each former group in ``overrides``; a group of the user's own may have such a name."""
    given = dict.fromkeys(re.split("[=@]", text.lstrip("+"))[0] for text in overrides)
    old = [key for key in given if key in NO_LONGER]
    groups = _groups(hydra) if old else []
    return [f"{key} is no group any more: {NO_LONGER[key]}" for key in old if key not in groups]


def explain(error: Exception, hydra: Hydra, overrides: Sequence[str], name: str) -> str:
    """One message for what went wrong while ``overrides`` were composed onto the configuration ``name``."""
    text = _text(error)
    if isinstance(error, MissingConfigException):
        return _missing_file(error, hydra, overrides)
    if isinstance(error, OverrideParseException):
        return _bad_grammar(error)
    if isinstance(error, yaml.YAMLError):
        return f"a configuration file must be valid YAML: {_flat(text)}"
    if (match := re.match(r"Ambiguous value for argument '(.*?)'|Sweep parameters '(.*?)' requires", text)) is not None:
        given = match[1] or match[2]
        return f"{given} names several values: add -m to sweep over them, or write key=[a,b] for a list"
    if text.startswith("BasicSweeper does not support"):
        return (
            "interval(...) has no values for a sweep to go through: write some, as key=1e-4,1e-3, or let "
            "hydra/sweeper=search draw them"
        )
    if (match := re.match(r"Could not override '(.*?)'", text)) is not None:
        return _unknown_key(match[1], hydra, overrides, name)
    if (match := re.match(r"Could not delete(?: from config\.)? '(.*?)'", text)) is not None:
        return f"~{match[1]}: there is no such key or group to delete"
    if (match := re.match(r"Override (.*?) looks like a config group override.*'(.*?)'", text)) is not None:
        return f"{match[1]}: no such group; {nearest(match[2], _groups(hydra))}"
    if (match := re.match(r"Multiple values for (\S+)\.", text)) is not None:
        return f"+{match[1]}=...: {match[1]} has an option already; change it with {match[1]}=..., without the +"
    if text.startswith("Config group override must be a string"):
        return _no_option(hydra, overrides)
    if isinstance(error, OmegaConfBaseException):
        return unresolved(error)
    return _flat(text)


def unresolved(error: OmegaConfBaseException) -> str:
    """One line for a key whose value OmegaConf cannot give."""
    first = str(error.msg or error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue):
        return missing(error.full_key or "a key")
    return f"{error.full_key}: {first}" if error.full_key else first


def missing(key: str) -> str:
    """One line for a key that stands at ``???``."""
    return f"{key} must be given, it has no default: add {key}=..."


def _text(error: BaseException) -> str:
    """The error's own words; where it has none (Hydra wraps so), those of its cause."""
    own = str(error).strip()
    cause = str(error.__cause__).strip() if isinstance(error.__cause__, HydraException | OmegaConfBaseException) else ""
    return own if own.startswith("Could not") else "\n".join(part for part in (own, cause) if part)


def _flat(text: str) -> str:
    """Several lines as one, without the tail in which OmegaConf repeats types."""
    noise = ("object_type=", "reference_type=", "full_key:")
    kept = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(noise)]
    return "; ".join(dict.fromkeys(line.rstrip(";:") for line in kept))


def _missing_file(error: MissingConfigException, hydra: Hydra, overrides: Sequence[str]) -> str:
    wanted = error.missing_cfg_file or "configuration"
    group, _, option = wanted.rpartition("/")
    where = re.match(r"In '(.*?)'", str(error))
    told = any(text.lstrip("+").startswith(f"{group}=") for text in overrides)  # then no file is to blame
    inside = f"in {where[1]}: " if where is not None and where[1] != "config" and not told else ""
    if not group:
        return f"{inside}there is no configuration named {wanted!r}"
    known = error.options or hydra.config_loader.get_group_options(group)
    if not known:
        return f"{inside}{group}={option}: no such group; {nearest(group, _groups(hydra))}"
    return f"{inside}{group} must be one of its options, got {option!r}: {nearest(option, known)}"


def _bad_grammar(error: OverrideParseException) -> str:
    if "=" not in error.override:
        return f"{error.override!r} must be key=value, as in algorithm=safe or optimizer.lr=1e-4"
    detail = next((line for line in str(error).splitlines() if not line.startswith("Error parsing")), "").strip()
    remedy = "quote a value that holds commas, brackets, colons, spaces or ~: 'key=\"a, b\"'"
    return f"{error.override!r} must be a valid override ({detail[:100]}); {remedy}"


def _no_option(hydra: Hydra, overrides: Sequence[str]) -> str:
    groups = _groups(hydra)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key, value = override.key_or_group, override.value()
        if key in groups and not isinstance(value, str | list):
            known = ", ".join(hydra.config_loader.get_group_options(key))
            return f"{key} must be one of its options, got {value!r}: known: {known}"
    return "a group must be set to the name of one of its options"


def _unknown_key(key: str, hydra: Hydra, overrides: Sequence[str], name: str) -> str:
    groups = _groups(hydra)
    if "/" in key:
        parent = key.rpartition("/")[0]
        siblings = [group for group in groups if group.startswith(f"{parent}/")] or groups
        return f"{key} must be a group of options, and is none: {nearest(key, siblings)}"
    if key in groups:
        return f"{key} must be a group of the composed configuration, and is not: add it with +{key}=..."
    config = _without(key, hydra, overrides, name)
    parts = key.split(".")
    node: Any = config
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig):
            parent = ".".join(parts[:depth])
            return f"{key} must be a key of the configuration, and is none: {parent} is a value, not a group of keys"
        if part not in node:
            known = {str(known) for known in node if known != "hydra"}
            if depth == 0:
                known |= {group for group in groups if "/" not in group}
            unknown = ".".join(parts[: depth + 1])
            which = "" if unknown == key else f"{unknown} is unknown; "
            said = _meant(key, part, config, known) or _with_another_option(parts[:depth], part, hydra)
            return f"{key} must be a key of the configuration, and is none: {said or which + nearest(part, known)}"
        node = OmegaConf.select(config, ".".join(parts[: depth + 1]), throw_on_missing=False)
    return f"{key} cannot be set"


def _meant(key: str, part: str, config: DictConfig, known: Collection[str]) -> str | None:
    """What ``key`` is called here, if others call it so and its unknown ``part`` is no slip in a known name."""
    meant = meant_by(key)
    there = meant is not None and re.split(r"[./ ]", meant)[0] in config
    return f"did you mean {meant}?" if there and not get_close_matches(part, known, n=1, cutoff=0.85) else None


def _with_another_option(path: Sequence[str], part: str, hydra: Hydra) -> str | None:
    """Which options of the group at ``path`` have the key ``part``, if its option here has not."""
    group = "/".join(path)
    if not group or group not in _groups(hydra):
        return None
    load = hydra.config_loader.repository.load_config  # type: ignore[attr-defined]
    found = {option: load(f"{group}/{option}") for option in hydra.config_loader.get_group_options(group)}
    having = [option for option, one in found.items() if one is not None and part in one.config.keys()]  # noqa: SIM118
    if not having:
        return None
    # Those that want it come first, then the plainest.
    having.sort(key=lambda option: (not OmegaConf.is_missing(found[option].config, part), len(option)))
    more = f" (so have {', '.join(having[1:])})" if having[1:] else ""
    best = having[0]
    return f"{group} has another option here; add {group}={best}{more}"


def _without(key: str, hydra: Hydra, overrides: Sequence[str], name: str) -> DictConfig:
    """What the other overrides compose to, or, if one of those is wrong too, the configuration as it stands."""
    others = [text for text in overrides if not text.lstrip("+~").startswith(f"{key}=")]
    groups = {*_groups(hydra)}
    choices = [text for text in others if text.lstrip("+").split("=")[0] in groups]
    for attempt in (others, choices, []):
        try:
            return hydra.compose_config(config_name=name, overrides=list(attempt), run_mode=RunMode.MULTIRUN)
        except HydraException:
            continue
    return DictConfig({})


def _groups(hydra: Hydra) -> list[str]:
    return [group for group in groups_of(hydra) if group.split("/")[0] != "hydra"]
