"""Tokens to look at a model with."""

from typing import Any


def ordinary_tokens(tokenizer: Any, count: int) -> list[int]:
    """Ordinary tokens of the vocabulary, far apart in it; the same ones every time.

    Args:
        tokenizer: of ``transformers``.
        count: how many; up to 27 differ where the vocabulary is large enough.
    """
    special = set(tokenizer.all_special_ids)
    plain = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    return [plain[(7 * place + 3) * len(plain) // 193 % len(plain)] for place in range(count)]
