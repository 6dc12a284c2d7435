"""Any causal language model that ``transformers`` loads, trained in full or through an adapter."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context, Decoding
from safelab.corpus.dialogue import Template, check_template
from safelab.errors import ConfigError
from safelab.options import Options as BaseOptions
from safelab.parts.policy._adapted import Adapted, Adapter
from safelab.parts.policy._checkpointing import checkpointing
from safelab.parts.policy._decoding import Growing, Memory, sample
from safelab.parts.policy._prompts import token_rows
from safelab.parts.policy._reading import CausalReader, compiled_reader, head_is_plain
from safelab.parts.policy._static_cache import Reserved
from safelab.plugins import build_option
from safelab.types import PromptBatch

Attention = Literal["sdpa", "eager", "flash_attention_2"]


class Options(BaseOptions):
    """``path``: a local directory or a hub name. ``max_prompt_tokens``: longer prompts lose their beginning.

    ``prompt_template``: how a prompt is written for the model, see ``dialogue``; rewards get the prompt as it is.
    ``compile``: scoring and training passes through ``torch.compile``; sampling has ``rollout.decoding``.
    ``attention``: the implementation that ``transformers`` runs. ``gradient_checkpointing``: layers are computed
    again in the backward pass instead of kept. ``adapter``: which weights train, see ``policy/adapter``.
    """

    name: str
    path: str
    dtype: Literal["float32", "bfloat16"]
    attention: Attention
    compile: bool
    gradient_checkpointing: bool
    prompt_template: Template
    max_prompt_tokens: Annotated[int, Field(ge=1)]
    sampling_temperature: Annotated[float, Field(gt=0)]
    adapter: Mapping[str, Any]


def build(options: Options, context: Context) -> "CausalPolicy":
    """Load weights and tokenizer, check that they can be read, and say what trains and what the reference is."""
    return load(options.path, options, context)


class LoadOptions(BaseOptions):
    """What of the options is needed once the weights have a path."""

    dtype: Literal["float32", "bfloat16"]
    attention: Attention
    compile: bool
    gradient_checkpointing: bool
    prompt_template: Template
    max_prompt_tokens: int
    sampling_temperature: float
    adapter: Mapping[str, Any]


def load(path: str, options: Options | LoadOptions, context: Context) -> "CausalPolicy":
    """A policy from a directory or hub name.

    Raises:
        ConfigError: nothing loadable there, or a tokenizer without an end token or without the chat template that is
            asked for, or a model whose logits are not a plain linear map of its last hidden states.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        module = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=getattr(torch, options.dtype),
            attn_implementation=options.attention,
            use_safetensors=True,  # never a pickle
        )
    except ImportError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"policy.attention must be an implementation that is installed, got {options.attention!r}: {reason}; "
            "use sdpa"
        ) from error
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"policy.path must be a directory or hub name of a causal language model, got {path!r}: {reason}; "
            "give a directory with config.json, model.safetensors and a tokenizer"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"policy.path must have a tokenizer with an end token, got {path!r}; set eos_token in it")
    check_template("policy.prompt_template", options.prompt_template, tokenizer, path)
    # eval() for good: dropout would make the ratio differ from 1 before any update.
    module = module.to(context.device).eval()
    if not head_is_plain(module, context.device):
        raise ConfigError(f"policy.path must have logits that are head(hidden), and {path!r} scales or caps them")
    adapter = cast(Adapter, build_option("policy/adapter", options.adapter, context))
    adapted = adapter.adapt(module)
    around = checkpointing(module) if options.gradient_checkpointing else nullcontext
    return CausalPolicy(adapted, tokenizer, options, around)


class CausalPolicy:
    """``contracts.Policy`` over a ``transformers`` model."""

    def __init__(
        self,
        adapted: Adapted,
        tokenizer: Any,
        options: Options | LoadOptions,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.module = adapted.trained
        reader = compiled_reader if options.compile else CausalReader
        self.model = reader(adapted.inner, options.sampling_temperature, around)
        self.reference = reader(adapted.reference, options.sampling_temperature, adapted.as_reference)
        self.hidden_size = int(adapted.inner.config.hidden_size)
        self._adapted = adapted
        self._tokenizer = tokenizer
        self._eos = int(tokenizer.eos_token_id)
        self._pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)
        tokenizer.pad_token_id = self._pad
        self._template = options.prompt_template
        self._max_prompt_tokens = options.max_prompt_tokens
        self._temperature = options.sampling_temperature
        self._reserved: tuple[tuple[Decoding, int], Reserved] | None = None
        # Saved with the weights: the checkpoint's own sampling defaults (top-k, penalties) would make what
        # ``generate`` samples from them elsewhere another distribution than the trained one.
        adapted.inner.generation_config = self._plain_sampling()

    def _plain_sampling(self) -> Any:
        from transformers import GenerationConfig

        return GenerationConfig(
            do_sample=True,
            temperature=self._temperature,
            top_k=0,
            top_p=1.0,
            eos_token_id=self._eos,
            pad_token_id=self._pad,
            bos_token_id=self._tokenizer.bos_token_id,
        )

    def encode(self, texts: Sequence[str], groups: Sequence[int]) -> PromptBatch:
        """Prompts as tokens, padded on the left; a prompt that is too long keeps its end."""
        rows = [row[-self._max_prompt_tokens :] for row in token_rows(self._template, self._tokenizer, texts)]
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        for index, row in enumerate(rows):
            ids[index, width - len(row) :] = torch.tensor(row)
            mask[index, width - len(row) :] = True
        device = self._adapted.inner.device
        group_seq = torch.tensor(groups, device=device)
        return PromptBatch(texts=tuple(texts), ids=ids.to(device), mask=mask.to(device), group_seq=group_seq)

    def encode_responses(
        self, texts: Sequence[str], ended: Sequence[bool], max_tokens: int | None
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Responses as tokens, padded on the right; one without any token has the end token, so that it has one."""
        rows = []
        for text, end in zip(texts, ended, strict=True):
            own = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            rows.append([*own, self._eos][:max_tokens] if end or not own else own[:max_tokens])
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = True
        device = self._adapted.inner.device
        return ids.to(device), mask.to(device)

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut."""
        return len(token_rows(self._template, self._tokenizer, [text])[0])

    def vocabulary(self) -> Mapping[str, int]:
        """Number of each token, special ones included."""
        numbers: dict[str, int] = self._tokenizer.get_vocab()
        return numbers

    def decode(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> tuple[str, ...]:
        """Response text without special tokens."""
        rows = [row[keep].tolist() for row, keep in zip(ids.cpu(), mask.cpu(), strict=True)]
        return tuple(self._tokenizer.decode(row, skip_special_tokens=True) for row in rows)

    def generate(
        self, prompts: PromptBatch, max_new_tokens: int, *, greedy: bool = False, decoding: Decoding = "dynamic"
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Plain sampling (or the likeliest tokens) with a key-value cache: no top-k, no top-p, no penalty."""
        ids = sample(
            self._memory(decoding, max_new_tokens),
            prompts.ids,
            prompts.mask,
            max_new_tokens=max_new_tokens,
            sampling_temperature=self._temperature,
            end=self._eos,
            pad=self._pad,
            greedy=greedy,
        )
        # Not "ids != pad": where padding is the end token, that would drop the end from loss and KL.
        ends_before = (ids == self._eos).long().cumsum(dim=1) - (ids == self._eos).long()
        return ids, ends_before == 0

    def _memory(self, decoding: Decoding, max_new_tokens: int) -> Memory:
        """The cache to decode with; one of fixed size stays for the next rollout."""
        if decoding == "dynamic":
            return Growing(self._adapted.inner)
        wanted = (decoding, max_new_tokens)
        if self._reserved is None or self._reserved[0] != wanted:
            room = self._max_prompt_tokens + max_new_tokens
            self._reserved = wanted, Reserved(self._adapted.inner, room, compiled=decoding == "compiled")
        return self._reserved[1]

    def ended(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Bool[Tensor, "b"]:
        """Whether the end token is among the response tokens."""
        return ((ids == self._eos) & mask).any(dim=1)

    def save(self, directory: Path) -> None:
        """Weights or adapter, and tokenizer, as ``from_pretrained`` of ``transformers`` or ``peft`` reads them."""
        self._adapted.save(directory)
        self._tokenizer.save_pretrained(directory)

    def restore(self, directory: Path) -> None:
        """The weights of a directory that ``save`` wrote."""
        self._adapted.restore(directory)
