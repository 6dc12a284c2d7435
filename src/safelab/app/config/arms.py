"""The arms of a sweep: each is a name and the overrides that a command line would give.

    arms:
      safe:    {algorithm: safe}
      no_gate: {algorithm: safe, controller/gate: none}
    seed: range(10)

What stands beside ``arms`` holds for all of them, and Hydra composes it as ever. An arm's overrides come after that,
and those of the command line come last. They may not touch what an arm sets itself: its name would no longer be true.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from safelab.app.config.jobs import ARMS
from safelab.app.config.names import folder_fault
from safelab.app.config.preflight import listed
from safelab.errors import ConfigError, nearest
from safelab.runlog.keys import makes_no_arm

ARMS_SHOWN = 3
"""Overrides of arms that a message shows before it counts the others."""

WITHOUT_ARMS = f"~{ARMS}"
"""Given with an arm's overrides, it leaves one run of the sweep's file."""

RESERVED = ("null", "true", "false", "nan", "inf")
"""Words that are no text in the grammar of overrides."""

Arms = Mapping[str, Sequence[str]]
"""Name of an arm -> its overrides."""

NOT_IN_AN_ARM = {
    "seed": "seeds hold for all arms: put seed beside arms",
    "arm": "an arm's own name is its folder's",
    ARMS: "an arm has no arms",
    "sweep": "an arm is one of a sweep: put what all share beside arms",
    "hydra": "what Hydra does holds for the whole sweep: put it beside arms",
}
"""First parts of keys that an arm may not set, each with the reason."""


def split(overrides: Sequence[str]) -> tuple[list[str] | None, list[str]]:
    """The arms that ``arms=[safe,no_gate]`` chooses (None: all), and the other overrides."""
    given = [text for text in overrides if text.startswith(f"{ARMS}=")]
    others = [text for text in overrides if text not in given]
    if not given:
        return None, others
    (override,) = OverridesParser.create().parse_overrides(given[-1:])  # its errors name the override
    value = list(override.sweep_iterator()) if override.is_sweep_override() else override.value()
    names = value if isinstance(value, list) else [value]
    return [name.text if isinstance(name, QuotedString) else str(name) for name in names], others


def arms_of(config: DictConfig, chosen: Sequence[str] | None) -> Arms | None:
    """The arms of a composed sweep; None if it has none and none were asked for.

    Args:
        config: with ``arms`` in it.
        chosen: names of those to run; None: all.

    Raises:
        ConfigError: ``arms`` is malformed, every fault at once; or one that was chosen is not there.
    """
    if ARMS not in config:
        if chosen is None:
            return None
        raise ConfigError("arms=[...] must come with a sweep that has arms, got none: name one with +sweep=...")
    given = _as_it_stands(config, ARMS)
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"arms must give each arm a name, as in no_gate: {{controller/gate: none}}, got {given!r}")
    if faults := [fault for name, own in given.items() for fault in _faults(name, own)]:
        raise ConfigError(listed(faults))
    if unknown := [name for name in chosen or () if name not in given]:
        raise ConfigError(listed([f"arms has no {name!r}: {nearest(name, given)}" for name in unknown]))
    check_baseline(config, map(str, given))
    if chosen is not None and not chosen:
        raise ConfigError(f"arms=[] leaves nothing to run; choose among: {', '.join(given)}")
    names = given if chosen is None else dict.fromkeys(chosen)
    return {name: [as_override(str(key), value) for key, value in given[name].items()] for name in names}


def check_left_to_arms(arms: Mapping[str, Sequence[Override]], told: Sequence[Override]) -> None:
    """Refuse to be told what an arm sets itself: the arm's folder would hold something else than its name says.

    Args:
        arms: name of an arm -> its own overrides.
        told: what the command line says for all of them.

    Raises:
        ConfigError: every key of ``told`` that an arm sets, or that lies above or below one that an arm sets.
    """
    lines = []
    for key in dict.fromkeys(override.key_or_group for override in told if not makes_no_arm(override.key_or_group)):
        setting = [f"{name}: {_seen_from(key, one)}" for name, own in arms.items() for one in own if _touches(key, one)]
        if setting:
            more = f" and {len(setting) - ARMS_SHOWN} more" if len(setting) > ARMS_SHOWN else ""
            which = ", ".join(setting[:ARMS_SHOWN]) + more
            lines.append(
                f"{key} must be left to the arms of this sweep, which set it ({which}); "
                "choose arms without it, as arms=[...], or write an arm of your own"
            )
    if lines:
        raise ConfigError(listed(lines))


def check_baseline(config: DictConfig, arms: Iterable[str]) -> None:
    """Refuse a ``baseline`` of a study that none of its arms is called.

    Args:
        config: the sweep's.
        arms: all that the baseline may be.

    Raises:
        ConfigError: naming the arms that there are.
    """
    named = config.get("baseline")
    if named is not None and named not in (known := list(dict.fromkeys(arms))):
        raise ConfigError(f"baseline must be an arm of this sweep, got {named!r}; {nearest(str(named), known)}")


def seeds_of(config: DictConfig) -> list[str]:
    """An override for the seeds in a sweep's file: ``range(10)``, ``0,1,2`` or a list; none for a single seed."""
    seed = _as_it_stands(config, "seed")
    if isinstance(seed, list):
        if not seed:
            raise ConfigError("seed must name at least one seed, got []")
        return [f"seed={','.join(map(written, seed))}"]
    return [f"seed={seed}"] if isinstance(seed, str) else []


def as_override(key: str, value: Any) -> str:
    """What the command line would say for a key of an arm and its value."""
    return key if key.startswith("~") and value is None else f"{key}={written(value)}"


def written(value: Any) -> str:
    """``value`` in the grammar of overrides, so that Hydra reads back the same: text is quoted where it must be."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if not isinstance(value, str):
        return str(value)
    is_name = re.fullmatch(r"[A-Za-z_/][\w./@-]*", value, re.ASCII) and value.lower() not in RESERVED
    return value if is_name else QuotedString(text=value, quote=Quote.single).with_quotes()


def _parts(key: str) -> list[str]:
    """The steps of a key or of a group: ``controller/gate`` and ``controller.gate`` are one place."""
    return re.split(r"[./]", key)


def _touches(key: str, own: Override) -> bool:
    """Whether ``key`` is what ``own`` sets, or lies above or below it."""
    return all(one == other for one, other in zip(_parts(key), _parts(own.key_or_group), strict=False))


def _seen_from(key: str, own: Override) -> str:
    """What ``own`` sets ``key`` to; the whole override where it sets another key, or deletes."""
    text = str(own.input_line)
    return text.partition("=")[2] or text if key == own.key_or_group else text


def _as_it_stands(config: DictConfig, key: str) -> Any:
    """The value under ``key`` in plain Python, interpolations as they are written."""
    return OmegaConf.to_container(OmegaConf.masked_copy(config, [key]), resolve=False).get(key)  # type: ignore[union-attr]


def _faults(name: Any, own: Any) -> list[str]:
    """What is wrong with one arm."""
    if not isinstance(name, str):
        return [f"arms must be named by text, got {name!r}: put the name in quotes, or choose another"]
    if fault := folder_fault("an arm's name", name):
        return [fault]
    if not isinstance(own, dict):
        example = "{algorithm: safe, controller/gate: none}"
        return [f"arms.{name} must be a mapping of overrides, as in {example}, got {own!r}"]
    first = {str(key): re.split(r"[./@]", str(key).lstrip("+~"))[0] for key in own}
    return [
        f"arms.{name} must not set {key}: {NOT_IN_AN_ARM[part]}" for key, part in first.items() if part in NOT_IN_AN_ARM
    ]
