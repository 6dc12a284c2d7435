"""The one place where token probabilities are computed: rollout, reference and training all pass through here."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from safelab.contracts import CausalModel
from safelab.maths.divergence import entropy
from safelab.parts.policy._vocabulary import ChunkedStats, log_probs, plain_stats, tokens_per_chunk, vocabulary_of
from safelab.types import TokenStats, flat_sequences


@dataclass(frozen=True, slots=True)
class CausalReader(CausalModel):
    """Reads a causal model of ``transformers`` through its hidden states.

    log pi(y | x) = log_softmax(logits / sampling_temperature), always in float32.

    ``inside`` is entered for every pass: the reference of a LoRA policy is its model with the adapter off.
    ``body`` runs the model below its head, where that is not the module's own way.
    """

    module: Any
    sampling_temperature: float
    inside: Callable[[], AbstractContextManager[None]] = nullcontext
    body: Callable[..., Any] | None = None

    def hidden(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t1 d"]:
        """Last hidden states of the last prompt token and of every response column."""
        sequence_ids, sequence_mask = flat_sequences(prompt_ids, prompt_mask, ids, mask)
        # Counting from the first real token, as ``generate`` does: padding on the left moves no position. They count
        # on through the padding after a response, as in a pass without positions of its own, which the released code
        # makes: no real token sees that padding, but a critic may read there (``last_position``).
        counted = torch.cat([prompt_mask, torch.ones_like(mask)], dim=1)
        positions = (counted.long().cumsum(dim=1) - 1).clamp(min=0)
        body = backbone(self.module) if self.body is None else self.body
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

    def token_stats(
        self,
        hidden: Float[Tensor, "b t d"],
        ids: Int[Tensor, "b t"],
        reference: tuple[CausalModel, Float[Tensor, "b t d"]] | None = None,
    ) -> TokenStats:
        """Log-probability of each sampled token, entropy, and with a reference exact KL and its log-probability.

        A small batch is read as it stands, a large one in pieces: see ``_vocabulary``.
        """
        head = self.module.get_output_embeddings()
        vocabulary = vocabulary_of(head)
        if ids.numel() <= tokens_per_chunk(ids.numel(), vocabulary):
            return self._whole_stats(hidden, ids, reference)
        seen = None
        if reference is not None:
            model, hidden_ref = reference
            seen = (model.log_probs, hidden_ref.flatten(0, 1))
        with self.inside():
            columns = ChunkedStats.apply(  # type: ignore[no-untyped-call]
                hidden.flatten(0, 1), ids.flatten(), head, self.sampling_temperature, seen, *head.parameters()
            )
        logp_tok, entropy_tok, kl_tok, logp_ref_tok = (column.view_as(ids) for column in columns)
        if reference is None:
            return TokenStats(logp_tok=logp_tok, entropy_tok=entropy_tok)
        return TokenStats(logp_tok=logp_tok, entropy_tok=entropy_tok, kl_exact_tok=kl_tok, logp_ref_tok=logp_ref_tok)

    def _whole_stats(
        self,
        hidden: Float[Tensor, "b t d"],
        ids: Int[Tensor, "b t"],
        reference: tuple[CausalModel, Float[Tensor, "b t d"]] | None,
    ) -> TokenStats:
        logp = self.log_probs(hidden)
        if reference is None:
            logp_tok = logp.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
            return TokenStats(logp_tok=logp_tok, entropy_tok=entropy(logp))
        model, hidden_ref = reference
        with torch.no_grad():
            logp_ref = model.log_probs(hidden_ref)
        logp_tok, entropy_tok, kl_tok, logp_ref_tok = plain_stats(logp, ids, logp_ref)
        return TokenStats(logp_tok=logp_tok, entropy_tok=entropy_tok, kl_exact_tok=kl_tok, logp_ref_tok=logp_ref_tok)


def compiled_reader(
    module: Any, sampling_temperature: float, inside: Callable[[], AbstractContextManager[None]]
) -> CausalReader:
    """A reader whose body is compiled on first use, for sequences of any length."""
    return CausalReader(module, sampling_temperature, inside, torch.compile(backbone(module), dynamic=True))


def backbone(module: Any) -> nn.Module:
    """The model below the language-model head."""
    inner: nn.Module = getattr(module, module.base_model_prefix)
    return inner


@torch.no_grad()
def head_is_plain(module: Any, device: torch.device) -> bool:
    """Whether logits = head(hidden): models that scale or cap their logits are not read right from hidden states."""
    ids = torch.tensor([[0, 1, 2]], device=device)
    hidden = backbone(module)(input_ids=ids, use_cache=False).last_hidden_state
    return torch.allclose(module.get_output_embeddings()(hidden), module(input_ids=ids).logits, atol=1e-4)
