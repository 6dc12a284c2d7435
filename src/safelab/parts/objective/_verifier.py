"""A frozen language model that reads the policy's tokens, and what it thinks of every token that could stand there."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.contracts import Context
from safelab.errors import ConfigError
from safelab.pretrained.adapters import merged, with_tokenizer
from safelab.pretrained.heads import backbone
from safelab.pretrained.load import Source, tokenizer_of
from safelab.pretrained.ragged.layout import layout_of
from safelab.pretrained.ragged.row_states import RowReader
from safelab.pretrained.ragged.stream import states_of_rows
from safelab.pretrained.ragged.ways import reader_of
from safelab.pretrained.vocabulary import check_vocabulary
from safelab.types import TrainBatch, flat_sequences

REMEDY = "give a language model that was trained from the policy, as a run's checkpoints/update_.../policy"


def load_verifier(path: str, dtype: str, context: Context) -> "Verifier":
    """The language model at ``path``, to be read without padding.

    Raises:
        ConfigError: nothing loadable there, a tokenizer that is not the policy's, or a model that is read otherwise.
    """
    from transformers import AutoModelForCausalLM

    source = Source("objective.path", path, "of a language model", REMEDY)
    tokenizer = tokenizer_of(with_tokenizer(source))
    module = merged(AutoModelForCausalLM, source, dtype=getattr(torch, dtype))
    assert context.policy is not None
    check_vocabulary("objective.path", path, tokenizer, context.policy.vocabulary(), REMEDY)
    reader = reader_of(module.to(context.device).eval().requires_grad_(False), tokenizer)
    if reader is None:
        raise ConfigError(
            f"objective.path must be a causal model whose logits are a linear map of its last hidden states, got "
            f"{path!r}, a {type(module).__name__} that is read otherwise: {REMEDY}"
        )
    return Verifier(reader)


class Verifier:
    """``reader``: the model and how it reads rows of tokens; nothing of it is trained."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader

    @torch.no_grad()
    def log_probs(self, batch: TrainBatch) -> Float[Tensor, "b t vocab"]:
        """Of every token at the place of each response token, at temperature 1, in float32; on padding any numbers."""
        module, way = self._reader.module, self._reader.way
        ids, _ = flat_sequences(batch.prompt_ids, batch.prompt_mask, batch.ids, batch.mask)
        layout = layout_of(batch.prompt_ids, batch.prompt_mask, batch.mask, share=way == "stream")
        states = states_of_rows(backbone(module), ids, layout, way, module.dtype)
        logits: Any = self._reader.head(states[:, :-1])
        return torch.log_softmax(logits.float(), dim=-1)
