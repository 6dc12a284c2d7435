"""What the rest of the project asks of an embedded world: its models, made on first use.

One policy per world seed, one reward model per run seed: each seed draws its own preference pairs, so that the spread
between seeds holds the reward model's too. A value model learns from the same pairs.
"""

import hashlib
from collections.abc import Callable
from functools import cache as once
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safelab.world.cache import cached
from safelab.world.options import WorldOptions

Progress = Callable[[str], None]

SOURCES = (
    "maths/masked.py",
    "maths/preference.py",
    "maths/seeds.py",
    "maths/shares.py",
    "maths/wide.py",
    "pretrained/heads.py",
    "pretrained/lora.py",
    "pretrained/ragged/attention.py",
    "pretrained/ragged/blocks.py",
    "pretrained/ragged/layout.py",
    "pretrained/ragged/row_states.py",
    "pretrained/ragged/stream.py",
    "supervised/bradley_terry.py",
    "supervised/loop.py",
    "supervised/rows.py",
    "supervised/sft.py",
    "supervised/token_value.py",
)
"""What a model is made by besides this package."""

LIBRARIES = ("tokenizers", "torch", "transformers")
"""Another version of these may train other weights from the same seed."""


def ensure_language_model(world: WorldOptions, cache: Path, progress: Progress) -> Path:
    """Directory of the policy of ``world.seed`` with its tokenizer, as ``transformers``' auto classes load it.

    Raises:
        ConfigError: the cache cannot be written.
    """

    def make(directory: Path) -> dict[str, float]:
        from safelab.world.language_model import make_language_model

        progress("language model: training it on its own texts, which happens once")
        return make_language_model(world, directory, progress)

    return cached(cache, "language_model", _policy_parts(world), make, progress)


def ensure_value_model(world: WorldOptions, seed: int, cache: Path, progress: Progress) -> Path:
    """Directory of the value model of run ``seed``, which learns from its reward model's pairs; makes the policy first.

    Raises:
        ConfigError: the cache cannot be written.
    """
    policy = ensure_language_model(world, cache, progress)

    def make(directory: Path) -> dict[str, float]:
        from safelab.world.value_model import make_value_model

        return make_value_model(world, seed, policy, directory, progress)

    drawn = world.reward_model.model_dump(include={"pairs", "held_out", "label_noise"})
    parts = {"preferences": drawn, "value_model": world.value_model.model_dump(), "run_seed": seed}
    return cached(cache, "value_model", _policy_parts(world) | parts, make, progress)


def ensure_reward_model(world: WorldOptions, seed: int, cache: Path, progress: Progress) -> Path:
    """Directory of the reward model of run ``seed``; makes the policy first if need be.

    Raises:
        ConfigError: the cache cannot be written.
    """
    policy = ensure_language_model(world, cache, progress)

    def make(directory: Path) -> dict[str, float]:
        from safelab.world.reward_model import make_reward_model

        return make_reward_model(world, seed, policy, directory, progress)

    parts = _policy_parts(world) | {"reward_model": world.reward_model.model_dump(), "run_seed": seed}
    return cached(cache, "reward_model", parts, make, progress)


def ensure_preferences(world: WorldOptions, seed: int, cache: Path, progress: Progress) -> Path:
    """Directory of the preference pairs that the reward model of run ``seed`` learns from; makes the policy first.

    Raises:
        ConfigError: the cache cannot be written.
    """
    policy = ensure_language_model(world, cache, progress)

    def make(directory: Path) -> dict[str, float]:
        from safelab.world.preferences import make_preferences

        return make_preferences(world, seed, policy, directory, progress)

    drawn = world.reward_model.model_dump(include={"pairs", "held_out", "label_noise"})
    return cached(cache, "preferences", _policy_parts(world) | {"preferences": drawn, "run_seed": seed}, make, progress)


def _policy_parts(world: WorldOptions) -> dict[str, Any]:
    return {
        "world_seed": world.seed,
        "language_model": world.language_model.model_dump(),
        "tasks": None if world.tasks is None else world.tasks.model_dump(),
        "source": source_hash(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


@once
def source_hash() -> str:
    """Hash of the text of every module that a model is made by."""
    package = Path(__file__).parent
    files = [*sorted(package.glob("*.py")), *(package.parent / name for name in SOURCES)]
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        # The length keeps "ab" + "c" apart from "a" + "bc".
        content = file.read_bytes()
        digest.update(f"{file.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()
