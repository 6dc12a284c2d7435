"""The one place where token probabilities are computed: rollout, reference and training all pass through here."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.contracts import CausalModel, Tally
from safelab.maths.divergence import entropy
from safelab.parts.policy._vocabulary import (
    ChunkedStats,
    Stats,
    chosen,
    log_probs,
    logit_gradient,
    pieces,
    plain_stats,
    tokens_per_chunk,
    vocabulary_of,
)
from safelab.pretrained.heads import backbone
from safelab.pretrained.ragged.layout import layout_of
from safelab.pretrained.ragged.stream import Way, positions_read, states_of_rows
from safelab.types import TokenStats, flat_sequences


@dataclass(frozen=True, slots=True)
class CausalReader(CausalModel):
    """Reads a causal model of ``transformers`` through its hidden states.

    log pi(y | x) = log_softmax(logits / sampling_temperature), always in float32.

    ``inside`` is entered for every pass: the reference of a LoRA policy is its model with the adapter off.
    ``way``: how it reads ragged rows; unless that is ``padded``, what stands on padding is not computed, and is not to
    be read.
    """

    module: Any
    sampling_temperature: float
    inside: Callable[[], AbstractContextManager[None]] = nullcontext
    way: Way = "padded"
    tally: Tally = field(default_factory=Tally)

    def hidden(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t1 d"]:
        """Last hidden states of the last prompt token and of every response column."""
        sequence_ids, sequence_mask = flat_sequences(prompt_ids, prompt_mask, ids, mask)
        body = backbone(self.module)
        if self.way != "padded":
            layout = layout_of(prompt_ids, prompt_mask, mask, share=self.way == "stream")
            self.tally.add(len(layout), positions_read(layout, self.way))
            with self.inside():
                return states_of_rows(body, sequence_ids, layout, self.way, self.module.dtype)
        # Counting from the first real token, as ``generate`` does: padding on the left moves no position. They count
        # on through the padding after a response, as in a pass without positions of its own, which the released code
        # makes: no real token sees that padding, but a critic may read there (``last_position``).
        counted = torch.cat([prompt_mask, torch.ones_like(mask)], dim=1)
        positions = (counted.long().cumsum(dim=1) - 1).clamp(min=0)
        self.tally.add(sequence_mask.sum(), sequence_mask.numel())
        with self.inside():
            output = body(
                input_ids=sequence_ids, attention_mask=sequence_mask.long(), position_ids=positions, use_cache=False
            )
        states: Tensor = output.last_hidden_state
        return states[:, prompt_ids.shape[1] - 1 :]

    def log_probs(self, hidden: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows vocab"]:
        """log_softmax of the logits over the temperature, in float32."""
        with self.inside():
            return log_probs(self.module.get_output_embeddings(), hidden, self.sampling_temperature)

    def log_probs_of(self, hidden: Float[Tensor, "*rows d"], ids: Int[Tensor, "*rows k"]) -> Float[Tensor, "*rows k"]:
        """Those of some tokens at each place; a large batch in pieces, which the backward pass computes again."""
        with self.inside():
            head = self.module.get_output_embeddings()
            flat = chosen(head, hidden.flatten(0, -2), ids.flatten(0, -2), self.sampling_temperature)
        return flat.view_as(ids)

    @torch.no_grad()
    def likeliest(self, hidden: Float[Tensor, "*rows d"], count: int) -> Int[Tensor, "*rows k"]:
        """The ``count`` likeliest tokens at each place, or all there are; a large batch in pieces."""
        flat = hidden.flatten(0, -2)
        places = pieces(len(flat), self.module.get_output_embeddings())
        found = [super(CausalReader, self).likeliest(flat[rows], count) for rows in places]
        return torch.cat(found).view(*hidden.shape[:-1], -1)

    def sampled_logit(self, hidden: Float[Tensor, "b t d"], ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
        """The head's logit of each token, in float32."""
        with self.inside():
            logits = self.module.get_output_embeddings()(hidden)
        chosen: Tensor = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1).float()
        return chosen

    def token_stats(
        self,
        hidden: Float[Tensor, "b t d"],
        ids: Int[Tensor, "b t"],
        reference: tuple[CausalModel, Float[Tensor, "b t d"]] | None = None,
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> TokenStats:
        """Log-probability of each sampled token, entropy, and with a reference exact KL and its log-probability.

        Padding is passed over, and has zeros, unless hidden states were computed there too (``way``).
        """
        flat, spread = self._kept(ids, mask)
        seen = None if reference is None else (reference[0], flat(reference[1]))
        logp_tok, entropy_tok, kl_tok, logp_ref_tok = map(spread, self._columns(flat(hidden), flat(ids), seen))
        if reference is None:
            return TokenStats(logp_tok=logp_tok, entropy_tok=entropy_tok)
        return TokenStats(logp_tok=logp_tok, entropy_tok=entropy_tok, kl_exact_tok=kl_tok, logp_ref_tok=logp_ref_tok)

    def logit_gradient(
        self, hidden: Float[Tensor, "b t d"], ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t"]:
        """``|onehot(id) - p|^2`` of each sampled token; on padding as ``token_stats``. It reads the head once more."""
        flat, spread = self._kept(ids, mask)
        head = self.module.get_output_embeddings()
        with self.inside():
            return spread(logit_gradient(head, flat(hidden), flat(ids), self.sampling_temperature))

    def _kept(
        self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"] | None
    ) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """From [b, t, ...] to the tokens that are read, one after another, and from a number of each back to [b, t]."""
        # Places and not the mask: for them the host waits once, for a mask at every use and on the way back.
        kept = None if self.way == "padded" or mask is None else mask.flatten().nonzero().squeeze(1)

        def flat(x: Tensor) -> Tensor:
            return x.flatten(0, 1) if kept is None else x.flatten(0, 1)[kept]

        def spread(column: Tensor) -> Tensor:
            whole = column if kept is None else column.new_zeros(ids.numel()).index_copy(0, kept, column)
            return whole.view_as(ids)

        return flat, spread

    def _columns(
        self,
        hidden: Float[Tensor, "n d"],
        ids: Int[Tensor, "n"],
        reference: tuple[CausalModel, Float[Tensor, "n d"]] | None,
    ) -> Stats:
        """The same, token by token. A small batch is read as it stands, a large one in pieces: see ``_vocabulary``."""
        head = self.module.get_output_embeddings()
        if len(ids) > tokens_per_chunk(len(ids), vocabulary_of(head)):
            seen = None if reference is None else (reference[0].log_probs, reference[1])
            with self.inside():
                columns: Stats = ChunkedStats.apply(  # type: ignore[no-untyped-call]
                    hidden, ids, head, self.sampling_temperature, seen, *head.parameters()
                )
            return columns
        logp = self.log_probs(hidden)
        if reference is None:
            logp_tok = logp.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
            zeros = torch.zeros_like(logp_tok)
            return logp_tok, entropy(logp), zeros, zeros
        with torch.no_grad():
            logp_ref = reference[0].log_probs(reference[1])
        return plain_stats(logp, ids, logp_ref)
