"""Whether two models mean the same words by the same numbers."""

from collections.abc import Mapping
from typing import Any

from safelab.errors import ConfigError


def check_vocabulary(key: str, path: str, tokenizer: Any, policys: Mapping[str, int], remedy: str) -> None:
    """Refuse a model that would read the policy's token numbers as other words; it may have words of its own besides.

    Args:
        key: of the configuration that names the model.
        path: where it lies.
        tokenizer: its own.
        policys: number of each token of the policy.
        remedy: what to do instead.

    Raises:
        ConfigError: a token of the policy is none of the model's, or another number there.
    """
    own = tokenizer.get_vocab()
    if differing := len(policys.items() - own.items()):
        raise ConfigError(
            f"{key} must have the policy's tokenizer, got {path!r} with a vocabulary of {len(own)} tokens "
            f"where the policy has {len(policys)} (of these it reads otherwise: {differing}): {remedy}"
        )
