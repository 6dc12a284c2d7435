"""A stand-in for a GPU: a device of its own whose tensors hold their values in CPU memory.

Tensors of two devices in one operation raise, as on CUDA. Every place where the host waits for the device is noted with
the line of safelab that asked: a value or a shape that Python needs, and a tensor that is sent from the CPU, since
that copy comes back only after all that was queued before it. The numbers are those of the CPU to the bit.
"""

import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("standin")
DEVICE = torch.device("standin", 0)
# Gradient checkpointing asks for it, in the thread of the backward pass, where an error would end the process.
torch.standin.get_amp_supported_dtype = lambda: [torch.bfloat16]

# On a device that it does not know, torch composes this one of others that round otherwise than its own kernel. The
# kernel that is named here is never reached: ``_run`` comes first.
KERNELS = torch.library.Library("aten", "IMPL")
KERNELS.impl("silu_backward", lambda grad, x: None, "PrivateUse1")

aten = torch.ops.aten
ASKS = {
    aten._local_scalar_dense.default: "a number",
    aten.is_nonzero.default: "a truth",
    aten.equal.default: "a truth",
    aten.nonzero.default: "a shape",
    aten.masked_select.default: "a shape",
    aten._unique2.default: "a shape",
    aten.unique_dim.default: "a shape",
    aten.unique_consecutive.default: "a shape",
    aten.repeat_interleave.Tensor: "a shape",
    aten.bincount.default: "a shape",
}
"""Operations whose answer, or the shape of whose answer, the host has to know."""

INDEXES = {
    aten.index.Tensor,
    aten._unsafe_index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
"""May take their indices from the CPU; a mask as an index has a shape that the host must ask for."""

ALIKE = {aten.cat.default, aten.stack.default}
"""Take no number from the CPU either, which other operations do."""


class Mixed(RuntimeError):
    """Tensors of two devices in one operation."""


@dataclass(frozen=True, slots=True)
class Wait:
    """``what`` the host waited for, the ``line`` of safelab that asked, and whether that was within a rollout."""

    what: str
    line: str
    sampling: bool


class Held(Tensor):
    """A tensor of the stand-in; ``inner`` has its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Held":
        """``inner`` as the device's."""
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=DEVICE
        )
        made.inner = inner
        held: Held = made
        return held

    def __repr__(self) -> str:  # type: ignore[override]
        """Its values."""
        return f"Held({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """As the mode does it: the backward pass comes here, from a thread of its own."""
        return _run(func, args, kwargs or {})


WAITS: Counter[Wait] = Counter()
"""Of the block of ``standin``."""


@contextmanager
def standin() -> Iterator[Counter[Wait]]:
    """Within, tensors may be made on ``DEVICE``; gives the waits as they are counted."""
    swapped = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    WAITS.clear()
    try:
        with _Front(), _Below(), patch.object(torch.accelerator, "synchronize", lambda device: _note("all")):
            yield WAITS
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapped)


class _Below(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Front(TorchFunctionMode):
    """What never reaches the dispatcher as it is: tensors made of lists on the device, and lists made of tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and _is_here(given.get("device")):
            device = given.pop("device")
            return func(*args, **given).to(device)
        if func is Tensor.tolist and isinstance(args[0], Held):
            _note("numbers")
            return args[0].inner.tolist()
        return func(*args, **given)


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """``func`` on the held values; its tensors are the device's, unless it brings them to the CPU."""
    tensors = [*_tensors(args), *_tensors(kwargs.values())]
    device = kwargs.get("device")
    held = [tensor for tensor in tensors if isinstance(tensor, Held)]
    if not held and not _is_here(device):
        return func(*args, **kwargs)
    _judge(func, args, held, [tensor for tensor in tensors if not isinstance(tensor, Held)], device)
    inner_kwargs = {name: _each(value, _inner) for name, value in kwargs.items()}
    if device is not None:
        inner_kwargs["device"] = torch.device("cpu")
    out = func(*_each(args, _inner), **inner_kwargs)
    if func is aten.copy_.default and not isinstance(args[0], Held):
        return args[0]
    if func is aten._to_copy.default and held and device is not None and not _is_here(device):
        return out
    return return_and_correct_aliasing(func, args, kwargs, _each(out, _held))


def _tensors(given: Iterable[Any]) -> Iterator[Tensor]:
    """Of an operation's arguments, lists among them: nothing else nests there."""
    for value in given:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _each(given: Any, change: Callable[[Any], Any]) -> Any:
    """The same with every value in it changed."""
    if isinstance(given, list | tuple):
        return type(given)([_each(value, change) for value in given])
    return change(given)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, Held) else value


def _held(value: Any) -> Any:
    return Held(value) if isinstance(value, Tensor) else value


def _judge(func: Any, args: Sequence[Any], held: list[Tensor], beside: list[Tensor], device: Any) -> None:
    """Note a wait; refuse a mixture. ``beside``: the tensors that are on the CPU."""
    if func in ASKS:
        _note(ASKS[func])
    elif func in INDEXES:
        if any(isinstance(leaf, Held) and leaf.dtype in (torch.bool, torch.uint8) for leaf in _tensors(args[1])):
            _note("a shape")
        if beside:
            _note("a tensor from the CPU")
    elif func is aten._to_copy.default and device is not None and _is_here(device) != bool(held):
        _note("a tensor from the CPU" if beside else "numbers")
    elif func is aten.copy_.default and beside:
        _note("a tensor from the CPU" if isinstance(args[0], Held) else "numbers")
    elif held and any(tensor.dim() > 0 or func in ALIKE or tensor is _written(func, args) for tensor in beside):
        raise Mixed(f"{func} had tensors of {DEVICE} and of the CPU at {_line(_place())}")


def _written(func: Callable[..., Any], args: Sequence[Any]) -> Any:
    """The tensor that an operation changes in place; None where it changes none."""
    return args[0] if func._schema.is_mutable else None  # type: ignore[attr-defined]


def _is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def _note(what: str) -> None:
    place = _place()
    WAITS[Wait(what, _line(place), any(frame.f_code.co_name == "roll_out" for frame in _frames()))] += 1


def _frames() -> Iterator[FrameType]:
    """Of this thread, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place() -> FrameType | None:
    """The innermost frame of safelab, but for the helper that asks for others."""
    files = ((frame, frame.f_code.co_filename) for frame in _frames())
    return next((frame for frame, file in files if "/src/safelab/" in file and not file.endswith("fetched.py")), None)


def _line(frame: FrameType | None) -> str:
    if frame is None:
        return "outside safelab"
    file = frame.f_code.co_filename
    return f"{file.split('/src/safelab/')[1]}:{frame.f_lineno}: {linecache.getline(file, frame.f_lineno).strip()}"
