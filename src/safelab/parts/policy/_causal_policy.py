"""A policy over a causal model of ``transformers``."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.optim import Optimizer

from safelab.contracts import Adapted, Decoding, MovingReference, Policy
from safelab.parts.policy._decoding import Memory, sample
from safelab.parts.policy._growing_cache import Growing
from safelab.parts.policy._probe import check_fixed_cache
from safelab.parts.policy._reading import CausalReader
from safelab.parts.policy._static_cache import Reserved
from safelab.parts.policy._texts import Texts, rows_of
from safelab.pretrained.ends import end_tokens
from safelab.pretrained.limits import positions_of, trained_at
from safelab.pretrained.sharding import collected, whole_layers
from safelab.ranks import Ranks
from safelab.types import PromptBatch


class CausalPolicy(Policy):
    """What an adapter made of a model, how it and its reference are read, and its texts.

    ``packing``: whether rollouts read prompts without padding. ``ranks``: those that its layers are spread over; None
    where this process holds all of it.
    """

    def __init__(
        self,
        adapted: Adapted,
        model: CausalReader,
        reference: CausalReader,
        texts: Texts,
        sampling_temperature: float,
        *,
        packing: bool,
        ranks: Ranks | None = None,
    ) -> None:
        self.module = adapted.trained
        self.model: CausalReader = model
        self.reference: CausalReader = reference
        self.tally = model.tally
        # Not of the configuration: some models project their hidden states before the head.
        self.hidden_size = int(adapted.inner.get_output_embeddings().weight.shape[-1])
        self.positions = positions_of(adapted.inner.config)
        self.trained_at = trained_at(adapted.inner.config)
        self.ends = end_tokens(adapted.inner, texts.tokenizer)
        self.texts, self.pad = texts, texts.pad
        self.unused_template = texts.template == "plain" and bool(getattr(texts.tokenizer, "chat_template", None))
        self._adapted = adapted
        self._temperature = sampling_temperature
        self._packing = packing
        self._ranks, self.sharded = ranks, ranks is not None
        # A cache of fixed size stays for the next rollout, until one of another size is asked for.
        self._reserved = lru_cache(maxsize=1)(self._reserve)
        texts.tokenizer.pad_token_id = texts.pad
        # Saved with the weights: the checkpoint's own sampling defaults (top-k, penalties) would make what
        # ``generate`` samples from them elsewhere another distribution than the trained one.
        adapted.inner.generation_config = plain_sampling(texts, self.ends, sampling_temperature)

    def have_moving(self) -> None:
        """A copy of the model as it is, read as the reference is."""
        inner = self._adapted.inner
        module = copy.deepcopy(inner).requires_grad_(False).eval()
        self.moving = MovingReference(
            model=replace(self.reference, module=module),
            weights=dict(module.named_parameters()),
            policy=dict(inner.named_parameters()),
            start=dict(self._adapted.reference.named_parameters()),
        )

    def keep_padding(self) -> None:
        """From now on every pass is as wide as the widest row."""
        self.model, self.reference = (replace(reader, way="padded") for reader in (self.model, self.reference))

    def encode(self, texts: Sequence[str], groups: Sequence[int]) -> PromptBatch:
        """Prompts as tokens, padded on the left; a prompt that is too long keeps its end."""
        ids, mask = self.texts.prompts(texts)
        device = self._adapted.inner.device
        group_seq = torch.tensor(groups, device=device)
        return PromptBatch(texts=tuple(texts), ids=ids.to(device), mask=mask.to(device), group_seq=group_seq)

    def encode_responses(
        self, prompts: Sequence[str], texts: Sequence[str], ended: Sequence[bool], max_tokens: int | None
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Responses to ``prompts`` as tokens, padded on the right; one without any token has the end token."""
        ids, mask = self.texts.responses(prompts, texts, ended, max_tokens)
        device = self._adapted.inner.device
        return ids.to(device), mask.to(device)

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut."""
        return self.texts.count(text)

    def vocabulary(self) -> Mapping[str, int]:
        """Number of each token, special ones included."""
        numbers: dict[str, int] = self.texts.tokenizer.get_vocab()
        return numbers

    def decode(self, prompts: PromptBatch, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> tuple[str, ...]:
        """The text that each response adds to its prompt, without special tokens."""
        return self.texts.decode(rows_of(prompts.ids, prompts.mask), rows_of(ids, mask))

    def generate(
        self, prompts: PromptBatch, max_new_tokens: int, *, seeds: Sequence[int] | None, decoding: Decoding = "dynamic"
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Plain sampling (or the likeliest tokens) with a key-value cache: no top-k, no top-p, no penalty."""
        ids = sample(
            self._memory(decoding, max_new_tokens),
            prompts.ids,
            prompts.mask,
            alike=alike(prompts),
            max_new_tokens=max_new_tokens,
            sampling_temperature=self._temperature,
            ends=self.ends,
            pad=self.texts.pad,
            seeds=seeds,
        )
        # Not "ids != pad": where padding is the end token, that would drop the end from loss and KL.
        ending = self._ending(ids).long()
        return ids, ending.cumsum(dim=1) - ending == 0

    def _reserve(self, room: int, decoding: Decoding) -> Reserved:
        check_fixed_cache(self._adapted.inner, self.texts.tokenizer)
        return Reserved(self._adapted.inner, room, decoding, packing=self._packing)

    def _memory(self, decoding: Decoding, max_new_tokens: int) -> Memory:
        """The cache to decode with."""
        if decoding == "dynamic":
            return Growing(self._adapted.inner, packing=self._packing)
        return self._reserved(room=self.texts.max_prompt_tokens + max_new_tokens, decoding=decoding)

    def ended(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Bool[Tensor, "b"]:
        """Whether an end token is among the response tokens."""
        return (self._ending(ids) & mask).any(dim=1)

    def _ending(self, ids: Int[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
        return torch.isin(ids, torch.tensor(self.ends, device=ids.device))

    def after_update(self, update: int, optimizer: Optimizer) -> Mapping[str, float]:
        """What the adapter does to its weights."""
        return {} if self._adapted.after_update is None else self._adapted.after_update(update, optimizer)

    def save(self, directory: Path) -> None:
        """Weights or adapter, and tokenizer, as ``from_pretrained`` of ``transformers`` or ``peft`` reads them."""
        self.saver()(directory)

    def saver(self, on_all: bool = False) -> Callable[[Path], None]:
        """What writes them as they are now; the layers of all ranks are gathered before, on the first or ``on_all``."""
        given = {}
        if self._ranks is not None:
            assert self._adapted.weights is not None
            given = {"state_dict": collected(self._adapted.weights(), on_all or self._ranks.leads)}

        def write(directory: Path) -> None:
            self._adapted.save(directory, **given)
            self.texts.tokenizer.save_pretrained(directory)

        return write

    def whole(self) -> AbstractContextManager[None]:
        """Within it every rank has all layers whole."""
        return nullcontext() if self._ranks is None else whole_layers(self._adapted.inner)

    def restore(self, directory: Path) -> None:
        """The weights of a directory that ``save`` wrote."""
        self._adapted.restore(directory)


def alike(prompts: PromptBatch) -> list[int]:
    """For each row the first row of its group with the same prompt."""
    firsts: dict[tuple[int, str], int] = {}
    rows = zip(prompts.group_seq.tolist(), prompts.texts, strict=True)
    return [firsts.setdefault(prompt, row) for row, prompt in enumerate(rows)]


def plain_sampling(texts: Texts, ends: Sequence[int], sampling_temperature: float) -> Any:
    """The distribution that is trained, in the terms of ``transformers``."""
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=True,
        temperature=sampling_temperature,
        top_k=0,
        top_p=1.0,
        eos_token_id=list(ends) if len(ends) > 1 else ends[0],
        pad_token_id=texts.pad,
        bos_token_id=texts.tokenizer.bos_token_id,
    )
