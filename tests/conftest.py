"""What holds for every test: run-time shape checks, one thread, no network, Hypothesis without deadlines."""

import gc
import os

# Before any other import: libraries read these when they are first imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Also where a run takes a thread for each core, here and in every process that a test starts: with two tests at once,
# threads that wait for a core make a run ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from support import quick_hydra, shapes

# Shapes and types are checked at run time. Nothing of safelab may be imported before this line.
install_import_hook(shapes.checked_modules(), "beartype.beartype")

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
