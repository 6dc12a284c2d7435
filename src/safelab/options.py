"""The base of every option's parameters and of every state that a checkpoint holds: frozen, typed, closed."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

S = TypeVar("S", bound="State")


class Options(BaseModel):
    """Validated parameters of one option; values come from its YAML, so subclasses give no defaults.

    Unknown keys, wrong types and values out of range raise ``pydantic.ValidationError``, which
    ``app.config.build`` turns into one message. Strict: ``"1e-5"`` (text) is not a number; ``1`` is a valid float.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class State(BaseModel):
    """A value that a stateful part carries from update to update; plain JSON both ways, to the last bit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def restored(initial: S, saved: Mapping[str, Any]) -> S:
    """The state that ``state.model_dump()`` gave, nested states included; ``initial`` tells the classes."""
    values = {
        name: restored(value, saved[name]) if isinstance(value, State) else saved[name] for name, value in initial
    }
    return type(initial).model_validate(values)
