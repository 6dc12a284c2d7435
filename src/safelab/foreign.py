"""Code of the user's own, run in this process: what it raises becomes one message, what it changes is put back."""

import inspect
import os
import random
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from safelab.errors import OwnCodeFailed, RunFailed, SafelabError

SHOWN = 80
"""Characters of a value that a message quotes."""


@contextmanager
def calling(what: str, failure: type[SafelabError], passing: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Within the block runs code of the user's own, ``undisturbed``; whatever it raises ends in one message.

    Args:
        what: the code, as the message names it: ``"reward my_module:f"``.
        failure: the exception that carries the message, the original behind it.
        passing: exceptions that are let through.

    Raises:
        failure: the code raised, or wanted to end the process (``sys.exit``). For a RunFailed it is an OwnCodeFailed
            where it came through a file of the user's own, unless a connection or a file failed it.
    """
    with undisturbed():
        try:
            yield
        except (SafelabError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if isinstance(error, passing):
                raise
            own = failure is RunFailed and passed_through(error) and not isinstance(error, OSError)
            raise (OwnCodeFailed if own else failure)(f"{what} raised {told(error)}") from error


@contextmanager
def undisturbed() -> Iterator[None]:
    """Afterwards the process is as before: folder, streams, gradients, threads, default type and device, generators."""
    folder = _folder()
    streams = sys.stdout, sys.stderr
    grad, threads, dtype = torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()
    device, deterministic = torch.get_default_device(), torch.are_deterministic_algorithms_enabled()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        if folder is not None and _folder() != folder:
            with suppress(OSError):  # it was removed meanwhile; whoever writes there will say so
                os.chdir(folder)
        sys.stdout, sys.stderr = streams
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device.type == "cpu" else device)
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            torch.use_deterministic_algorithms(deterministic)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def told(error: BaseException) -> str:
    """An exception on one line, with the place in the user's code: ``KeyError: 'a' (f.py, line 3: x = table[key])``."""
    text = _text(error, str)
    place = _place(error)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if place is None:
        return said
    file, number, line = place
    return f"{said} ({file}, line {number}{f': {_shortened(line)}' if line else ''})"


def shown(value: Any) -> str:
    """A value for a message, whatever it is."""
    return _shortened(_text(value, repr))


def passed_through(error: BaseException) -> bool:
    """Whether a file of the user's own is among those that the exception came through."""
    return any(is_own(frame.filename) for frame in traceback.extract_tb(error.__traceback__))


def is_users(code: Any) -> bool:
    """Whether a function, or the class of an object, stands in a file of the user's own."""
    try:
        return is_own(inspect.getfile(code if inspect.isroutine(code) or inspect.isclass(code) else type(code)))
    except (TypeError, OSError):  # written in C, or typed in
        return False


def is_own(file: str) -> bool:
    """Whether a source file is the user's: neither safelab's nor of an installed package or of Python itself."""
    path = os.path.abspath(file)
    return os.path.isfile(path) and not path.startswith(_libraries()) and "site-packages" not in Path(path).parts


@cache
def _libraries() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    own = Path(__file__).parent
    places = {str(own), str(own.parent / "hydra_plugins"), *(sysconfig.get_paths()[name] for name in names)}
    return tuple(os.path.join(place, "") for place in places)


def _place(error: BaseException) -> tuple[str, int, str] | None:
    """File, line and the line's text in the user's own code, or else in whatever is not safelab's."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return _short(error.filename), error.lineno or 0, (error.text or "").strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    inside = os.path.join(str(Path(__file__).parent), "")
    others = [f for f in frames if not f.filename.startswith(("<", inside)) and "importlib" not in f.filename]
    found = own or others
    return None if not found else (_short(found[-1].filename), found[-1].lineno or 0, (found[-1].line or "").strip())


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _short(file: str) -> str:
    folder = _folder()
    return os.path.relpath(file, folder) if folder and file.startswith(os.path.join(folder, "")) else file


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _text(value: Any, write: Any) -> str:
    """``value`` as text on one line; a stranger's ``__str__`` may fail, too."""
    try:
        return " ".join(write(value).split())
    except Exception:  # noqa: BLE001 (it is all that stands between a message and none)
        return f"a {type(value).__name__}"
