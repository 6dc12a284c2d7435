"""What holds for every test: run-time shape checks, one thread, no network, Hypothesis without deadlines."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before any other import: libraries read these when they are first imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Also where a run takes a thread for each core, here and in every process that a test starts: with two tests at once,
# threads that wait for a core make a run ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from support import quick_hydra, shapes

# Shapes and types are checked at run time. Nothing of safelab may be imported before this line.
install_import_hook(shapes.checked_modules(), "beartype.beartype")

PROJECT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)
quick_hydra.install()

# The same examples every time: a failure is found by whoever changed the code, not by chance later.
settings.register_profile(
    "safelab", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("safelab")


def pytest_collection_finish() -> None:
    """What is there now stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """The command line finds modules in the user's folder: those of one test's must not be found by the next."""
    before = list(sys.path)
    yield
    added = {Path(place) for place in sys.path if place not in before}
    sys.path[:] = before
    if added := {place for place in added if not PROJECT.is_relative_to(place) and not place.is_relative_to(PROJECT)}:
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file is not None and added & set(Path(file).parents):
                del sys.modules[name]
