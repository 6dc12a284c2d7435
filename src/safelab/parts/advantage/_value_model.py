"""A frozen value model: one number after every token, from a token classifier that reads the policy's own tokens."""

from itertools import compress
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from safelab.contracts import Context
from safelab.errors import ConfigError
from safelab.pretrained.adapters import classifier, with_tokenizer
from safelab.pretrained.load import Source, tokenizer_of
from safelab.pretrained.ragged.row_states import RowReader
from safelab.pretrained.ragged.ways import reader_of
from safelab.pretrained.vocabulary import check_vocabulary
from safelab.supervised.rows import Row
from safelab.supervised.token_value import read_state_values
from safelab.types import Rollout, flat_sequences


def load_value_model(
    path: str, dtype: str, micro_batch_size: int | None, context: Context, *, packing: bool = True
) -> "ValueModel":
    """What ``safelab value-model`` or the embedded world made; with ``packing`` read without padding where it can be.

    Raises:
        ConfigError: nothing loadable there, more or fewer outputs than one, weights that are missing, or a tokenizer
            that is not the policy's.
    """
    from transformers import AutoModelForTokenClassification

    source = Source("advantage.path", path, "that safelab value-model made", "make one with safelab value-model")
    tokenizer = tokenizer_of(with_tokenizer(source))
    module, _ = classifier(AutoModelForTokenClassification, source, dtype=getattr(torch, dtype))
    if module.config.num_labels != 1:
        raise ConfigError(f"advantage.path must have one output, got {path!r} with {module.config.num_labels}")
    assert context.policy is not None
    remedy = "train it from the policy's own checkpoint, safelab value-model model=POLICY output=DIR"
    check_vocabulary("advantage.path", path, tokenizer, context.policy.vocabulary(), remedy)
    module = module.to(context.device).eval().requires_grad_(False)
    return ValueModel(module, micro_batch_size, reader_of(module, tokenizer) if packing else None)


class ValueModel:
    """Reads a rollout; nothing of it is trained. ``micro_batch_size``: rows per forward pass, None for all.

    ``reader``: reads it without padding, None where it is read padded.
    """

    def __init__(self, module: Any, micro_batch_size: int | None, reader: RowReader | None) -> None:
        self._module = module
        self._reader = reader
        self._micro_batch_size = micro_batch_size

    @torch.no_grad()
    def values(self, rollout: Rollout) -> Float[Tensor, "b t1"]:
        """V at the prompt's end and after each response column, in float32: t + 1 of them; on padding any number."""
        size = self._micro_batch_size or len(rollout.ids)
        starts = range(0, len(rollout.ids), size)
        prompts = rollout.prompts
        if self._reader is not None:
            rows, columns = rows_of(rollout), rollout.ids.shape[1] + 1
            read = [read_state_values(self._reader, rows[start : start + size])[0] for start in starts]
            return torch.cat([pad(values, (0, columns - values.shape[1])) for values in read])
        ids, mask = flat_sequences(prompts.ids, prompts.mask, rollout.ids, rollout.mask)
        pieces = [self._values(ids[start : start + size], mask[start : start + size]) for start in starts]
        return torch.cat(pieces)[:, prompts.ids.shape[1] - 1 :]

    def _values(self, ids: Tensor, mask: Tensor) -> Tensor:
        # Counting from the first real token: padding on the left moves no position.
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        output = self._module(input_ids=ids, attention_mask=mask.long(), position_ids=positions, use_cache=False)
        values: Tensor = output.logits[..., 0].float()
        return values


def rows_of(rollout: Rollout) -> list[Row]:
    """Prompts and responses without their padding."""

    def kept(ids: Int[Tensor, "b _"], mask: Bool[Tensor, "b _"]) -> list[list[int]]:
        rows = zip(ids.tolist(), mask.tolist(), strict=True)
        return [[*compress(row, real)] for row, real in rows]

    prompts = rollout.prompts
    rows = zip(kept(prompts.ids, prompts.mask), kept(rollout.ids, rollout.mask), strict=True)
    return [Row(prompt, answer) for prompt, answer in rows]
