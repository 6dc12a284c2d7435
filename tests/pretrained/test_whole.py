"""What a loaded model must have: words to read, for one."""

from types import SimpleNamespace

import pytest
import torch

from safelab.errors import ConfigError
from safelab.pretrained.whole import check_rows


@pytest.mark.parametrize("words", [{}, {"only": 1}])
def test_a_tokenizer_whose_vocabulary_is_lost_is_refused(words: dict[str, int]) -> None:
    """``transformers`` makes one of special tokens alone where a class is named and its files are missing."""
    tokenizer = SimpleNamespace(get_vocab=lambda: {"<eos>": 0, **words}, all_special_tokens=["<eos>"])
    model = SimpleNamespace(get_input_embeddings=lambda: torch.nn.Embedding(9, 2))
    with pytest.raises(ConfigError, match=r"reward\.path must have a tokenizer with words, got 'm' with [01] besides"):
        check_rows("reward.path", "m", model, tokenizer)
