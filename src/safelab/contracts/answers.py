"""Whether a part returned what its contract asks for: told where it is returned, and not where it is first added up."""

import math
from typing import Any

import torch
from torch import Tensor

from safelab.errors import ConfigError


def check_tensor(
    group: str, part: Any, what: str, value: object, shape: tuple[int, ...], *, learns: bool = False
) -> None:
    """See that ``what``, which ``part`` returned, is a tensor of ``shape``, and carries a gradient if it ``learns``.

    Raises:
        ConfigError: it is not: a shape that broadcasts, or a loss without a graph, would train silently on nothing.
    """
    if not isinstance(value, Tensor):
        raise ConfigError(
            f"{_named(group, part)} must return {what} as a tensor of shape {[*shape]}, got {value!r:.80}"
        )
    if value.shape != torch.Size(shape):
        raise ConfigError(f"{_named(group, part)} must return {what} of shape {[*shape]}, got one of {[*value.shape]}")
    if learns and not value.requires_grad:
        raise ConfigError(
            f"{_named(group, part)} must return {what} with its gradient, got a tensor that carries none: "
            "make it from the tensors that it is given, without detach, item or torch.no_grad"
        )


def check_type(group: str, part: Any, method: str, value: object, kind: type) -> None:
    """See that ``method`` returned a ``kind``.

    Raises:
        ConfigError: it did not.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{_named(group, part)} must return a {kind.__name__} from {method}, got {value!r:.80}")


def check_number(group: str, part: Any, what: str, value: object) -> float:
    """``value``, if it is one finite number.

    Raises:
        ConfigError: it is none, as where a tensor or nothing was returned.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{_named(group, part)} must return {what} as a finite number, got {value!r:.80}")
    return value


def _named(group: str, part: Any) -> str:
    return f"{group}={getattr(part, 'name', type(part).__name__)}"
