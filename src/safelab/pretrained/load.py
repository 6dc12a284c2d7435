"""The one way from a directory or hub name to what ``transformers`` makes of it.

``from_pretrained`` trusts what it finds: weights that a checkpoint lacks are drawn at random, a checkpoint's own Python
is run after a ``y`` on standard input, and a damaged file ends in whatever its parser raises.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from safelab.errors import ConfigError, SafelabError
from safelab.options import is_path
from safelab.pretrained.readable import check_readable, pointer_in
from safelab.pretrained.whole import check_numbers, check_whole

FAULTS: tuple[type[Exception], ...] = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, ImportError, RuntimeError,
    AssertionError,
)  # fmt: skip
"""What ``transformers`` raises at files that it did not expect, besides what has its type from Rust."""

ATTENTION = ("attention implementation", "attn_implementation", "scaled_dot_product", "flash")
"""How the reason reads where a model lacks the attention that was asked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where something comes from: ``key`` names ``path`` in the configuration, ``kind`` says what must lie there."""

    key: str
    path: str
    kind: str
    remedy: str

    def refusal(self, reason: str) -> ConfigError:
        """The message that nothing usable is there."""
        return ConfigError(
            f"{self.key} must be a directory or hub name {self.kind}, got {self.path!r}: {reason}; {self.remedy}"
        )


class told:
    """Within it, what goes wrong with files of ``source`` is one message.

    Not a net for everything: ``safelab``'s own errors pass, and so does what no parser of files raises.
    """

    def __init__(self, source: Source, attention: str | None = None) -> None:
        self._source = source
        self._attention = attention

    def __enter__(self) -> None:
        from transformers.utils import logging

        if is_path(self._source.path) and not Path(self._source.path).expanduser().exists():
            raise self._source.refusal("nothing lies there")  # the hub is not asked for what can only be a path
        check_readable(self._source.path, self._source.key)
        if (pointer := pointer_in(self._source.path)) is not None:
            raise self._source.refusal(
                f"{pointer.name} is a git-LFS pointer in the file's place (run git lfs pull there)"
            )
        logging.disable_progress_bar()
        logging.set_verbosity_error()  # what matters of it is a message of ours

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, SafelabError) or not _of_files(error):
            return
        said = reason_of(error)
        if self._attention is not None and any(word in said for word in ATTENTION):
            other = "eager" if self._attention == "sdpa" else "sdpa or eager"
            raise ConfigError(
                f"policy.attention must be an implementation that the model has and that is installed, got "
                f"{self._attention!r}: {said}; use {other}"
            ) from error
        raise self._source.refusal(said) from error


def located(path: str) -> str:
    """A directory by its absolute path, so that what names it can be read from anywhere; a hub name as it is."""
    return os.path.abspath(path) if os.path.isdir(path) else path


def tokenizer_of(source: Source, *, trust_remote_code: bool = False, **own: Any) -> Any:
    """The tokenizer that lies there.

    Raises:
        ConfigError: none that loads.
    """
    from transformers import AutoTokenizer

    with told(source):
        return AutoTokenizer.from_pretrained(source.path, trust_remote_code=trust_remote_code, **own)


def shape_of(source: Source) -> Any:
    """The configuration that lies there.

    Raises:
        ConfigError: none that loads.
    """
    from transformers import AutoConfig

    with told(source):
        return AutoConfig.from_pretrained(source.path, trust_remote_code=False)


def weights_of(
    loader: Any,
    source: Source,
    *,
    dtype: torch.dtype,
    head_may_lack: bool = False,
    trust_remote_code: bool = False,
    **own: Any,
) -> tuple[Any, list[str]]:
    """The model with the checkpoint's weights, and the names of those of its head that the checkpoint lacks.

    Args:
        loader: a class of ``transformers`` with ``from_pretrained``.
        source: where from.
        dtype: of the weights.
        head_may_lack: whether what stands above the layers may be missing: a head that is about to be trained.
        trust_remote_code: whether the checkpoint's own Python may run.
        own: further arguments of ``from_pretrained``.

    Raises:
        ConfigError: nothing that loads, or weights that are missing, left over, of another size or not finite.
    """
    with told(source, own.get("attn_implementation")):
        model, info = loader.from_pretrained(
            source.path,
            dtype=dtype,
            output_loading_info=True,
            use_safetensors=True,  # never a pickle
            ignore_mismatched_sizes=True,  # told below, by name
            trust_remote_code=trust_remote_code,
            **own,
        )
    model.name_or_path = model.config._name_or_path = located(source.path)  # an adapter's configuration repeats it
    missing = check_whole(source.key, source.path, source.remedy, model, info, head_may_lack)
    check_numbers(source.key, source.path, model, skip=missing)
    return model, missing


def check_precision(source: Source, config: Any) -> None:
    """Refuse quantised weights, which cannot be trained.

    Raises:
        ConfigError: the configuration says that they are quantised.
    """
    how = getattr(config, "quantization_config", None)
    if how is None:
        return
    name = how.get("quant_method", "some way") if isinstance(how, Mapping) else getattr(how, "quant_method", "some way")
    raise ConfigError(
        f"{source.key} must have weights in full precision, got {source.path!r}, which is quantised ({name}): "
        "give the checkpoint that it was made from"
    )


def reason_of(error: BaseException) -> str:
    """The first line of what was raised, and the next where it only leads to that; its kind where that says more."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else "nothing further is said"
    plain = isinstance(error, (OSError, ValueError, ImportError, RuntimeError)) and not isinstance(error, UnicodeError)
    return first if plain else f"{type(error).__name__}: {first}"


def _of_files(error: BaseException) -> bool:
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    # The Rust tokenizers raise Exception itself.
    return isinstance(error, (*FAULTS, StrictDataclassError, SafetensorError)) or type(error) is Exception
