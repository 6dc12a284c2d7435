"""The base of every option's parameters and of every state that a checkpoint holds: frozen, typed, closed.

``describe`` says what is wrong with parameters, one line a fault.

A parameter that says where something lies has the type ``LocalPath`` or ``PathOrHub``: a run's record then holds it as
an absolute path, which means the same from every folder.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from safelab.errors import nearest

S = TypeVar("S", bound="State")

# Pydantic's kinds of error whose rule reads shorter with a sign.
SIGNS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}

SHOULD = re.compile(r"^\w+ should ")
"""How pydantic begins a rule: ``Input should be``, ``String should have at least``."""


@dataclass(frozen=True, slots=True)
class Location:
    """Marks a parameter that says where something lies; ``hub``: it may be a name on the hub as well."""

    hub: bool


def is_path(text: str) -> bool:
    """Whether ``text`` can only be meant as a path: a name on the hub has one slash at most, and no dot in front."""
    return text.startswith((".", "~", os.sep)) or text.count("/") > 1


def _there_or_on_the_hub(text: str) -> str:
    if is_path(text) and not os.path.exists(os.path.expanduser(text)):
        raise ValueError(f"must be a path that exists or a name on the hub, got {text!r}: nothing lies there")
    return text


LocalPath = Annotated[str, Location(hub=False)]
"""A file or a folder; whoever reads it says what is wrong with it."""

PathOrHub = Annotated[str, Location(hub=True), AfterValidator(_there_or_on_the_hub)]
"""A file or a folder, or a name on the hub, which is asked only where nothing of that name lies here."""


def located(options: type[BaseModel], values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """``values`` with an absolute path for each that leads to something in this file system.

    Args:
        options: whose fields say which of them are paths.
        values: as they were given, not yet validated.
        base: the folder that relative paths begin at.
    """
    made = dict(values)
    for key, field in options.model_fields.items():
        value, inner = values.get(key), field.annotation
        if isinstance(value, str) and value and (kind := _location(field)) is not None:
            path = os.path.abspath(base / os.path.expanduser(value))
            if not kind.hub or is_path(value) or os.path.exists(path):
                made[key] = path
        elif isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
            made[key] = located(inner, value, base)
    return made


def _location(field: FieldInfo) -> Location | None:
    """The mark of a field, which stands within its type where that may be null."""
    inside = [mark for kind in get_args(field.annotation) for mark in getattr(kind, "__metadata__", ())]
    return next((mark for mark in (*field.metadata, *inside) if isinstance(mark, Location)), None)


class Options(BaseModel):
    """Validated parameters of one option; values come from its YAML, so subclasses give no defaults.

    Unknown keys, wrong types and values out of range raise ``pydantic.ValidationError``, which
    ``describe`` turns into lines of one message. Strict: ``"1e-5"`` (text) is not a number; ``1`` is a valid float.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def describe(error: ValidationError, prefix: str, known: Mapping[str, FieldInfo]) -> list[str]:
    """Pydantic's faults as lines ``key must ..., got value``.

    Args:
        error: what the validation raised.
        prefix: the key under which the validated mapping stands; may be empty.
        known: ``model_fields`` of what was validated.
    """
    return [_line(fault, prefix, known) for fault in error.errors(include_url=False)]


def _line(fault: Mapping[str, Any], prefix: str, known: Mapping[str, FieldInfo]) -> str:
    location = [str(part) for part in fault["loc"]]
    key = ".".join(([prefix] if prefix else []) + location) or "the configuration"
    kind, value = fault["type"], fault["input"]
    if kind == "extra_forbidden":
        parent = ".".join(([prefix] if prefix else []) + location[:-1]) or "the configuration"
        return f"{key} must be a key of {parent}, and is none: {nearest(location[-1], _names(known, location[:-1]))}"
    if kind == "missing":
        return f"{key} must be given, it has no default"
    if kind == "model_type":
        own = ", ".join(f"{key}.{name}" for name in _names(known, location))
        return f"{key} must be given by its own keys{own and f' ({own})'}, got {value!r}"
    if kind in SIGNS:
        sign, bound = SIGNS[kind]
        return f"{key} must be {sign} {fault['ctx'][bound]:.15g}, got {value!r}"
    rule = SHOULD.sub("must ", fault["msg"].removeprefix("Value error, "))
    return f"{key} {rule}" if kind == "value_error" else f"{key} {rule}, got {value!r}"


def _names(known: Mapping[str, FieldInfo], location: Sequence[str]) -> list[str]:
    """The known keys at ``location``."""
    for part in location:
        inner = known[part].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        known = inner.model_fields
    return list(known)


class State(BaseModel):
    """A value that a stateful part carries from update to update; plain JSON both ways, to the last bit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def restored(initial: S, saved: Mapping[str, Any]) -> S:
    """The state that ``state.model_dump()`` gave, nested states included; ``initial`` tells the classes.

    A field that has a default may be missing, as an older version had no such field; any other may not.
    """
    values = {
        name: restored(value, saved[name]) if isinstance(value, State) else saved[name]
        for name, value in initial
        if name in saved or type(initial).model_fields[name].is_required()
    }
    return type(initial).model_validate(values)
