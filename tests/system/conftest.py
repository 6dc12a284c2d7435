"""The command line in this process, for every system test that sweeps."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.commands import Done, call_here


@pytest.fixture
def safelab(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """In ``folder``, which each file makes. The launcher is in this process; its jobs have processes of their own."""
    return partial(call_here, folder, monkeypatch, capfd)
