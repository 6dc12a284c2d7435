"""From a directory or hub name to a policy: what every language model's options share, and how it is loaded."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from safelab.contracts import Adapted, Adapter, Context, Part, Tally
from safelab.corpus.dialogue import Template, check_template
from safelab.errors import ConfigError
from safelab.parts.policy._causal_policy import CausalPolicy
from safelab.parts.policy._checkpointing import checkpointing
from safelab.parts.policy._compiling import compile_layers
from safelab.parts.policy._probe import probe, read
from safelab.parts.policy._reading import CausalReader
from safelab.parts.policy._texts import Texts
from safelab.plugins import build_option
from safelab.pretrained.adapters import merged, with_tokenizer
from safelab.pretrained.heads import head_is_plain
from safelab.pretrained.limits import check_reach
from safelab.pretrained.load import Source, tokenizer_of
from safelab.pretrained.ragged.stream import Way
from safelab.pretrained.ragged.ways import way_of
from safelab.pretrained.sharding import spread
from safelab.pretrained.whole import check_rows, check_text_only
from safelab.ranks import Ranks

REMEDY = "give a directory with config.json, model.safetensors and a tokenizer"


class LanguageModel(Part):
    """``max_prompt_tokens``: longer prompts lose their beginning. ``adapter``: which weights train.

    ``attention``: the implementation that ``transformers`` runs. ``packing``: whether passes leave padding out, see
    ``stream.Way``; it changes time and memory only. ``gradient_checkpointing``: layers are computed again in the
    backward pass instead of kept. ``sharding``: whether each rank holds only its part of every layer, of policy and
    reference alike, see ``sharding.spread``.
    """

    dtype: Literal["float32", "bfloat16"]
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    packing: Literal["auto", "none"]
    gradient_checkpointing: bool
    sharding: Literal["none", "layers"]
    max_prompt_tokens: Annotated[int, Field(ge=1)]
    sampling_temperature: Annotated[float, Field(gt=0)]
    adapter: Mapping[str, Any]

    def load(self, path: str, context: Context, *, prompt_template: Template, compiled: bool) -> CausalPolicy:
        """A policy from a directory or hub name.

        Raises:
            ConfigError: nothing loadable there, or a tokenizer without an end token or without the chat template that
                is asked for, or a model that lacks weights, rows or positions, that padding or a cache changes, or
                whose logits are not a plain linear map of its last hidden states.
        """
        module, tokenizer = self._loaded(path)
        if tokenizer.eos_token_id is None:
            raise ConfigError(f"policy.path must have a tokenizer with an end token, got {path!r}; set eos_token in it")
        check_template("policy.prompt_template", prompt_template, tokenizer, path)
        check_rows("policy.path", path, module, tokenizer)
        check_reach("policy.max_prompt_tokens", self.max_prompt_tokens, path, module.config)
        # eval() for good: dropout would make the ratio differ from 1 before any update.
        module = module.to(context.device).eval()
        with read(module, path):
            if not head_is_plain(module, context.device):
                raise ConfigError(
                    f"policy.path must have logits that are head(hidden), and {path!r} scales or caps them"
                )
            probe(module, tokenizer, path)
        return self.over(module, tokenizer, context, prompt_template=prompt_template, compiled=compiled)

    def over(
        self, module: Any, tokenizer: Any, context: Context, *, prompt_template: Template, compiled: bool
    ) -> CausalPolicy:
        """A policy over a model that is there already."""
        # Before an adapter stands beside the layers, so that the reference, a copy, is read in the same way.
        packing = self.packing == "auto"
        way = way_of(module, tokenizer) if packing else "padded"
        adapter: Adapter = build_option("policy/adapter", self.adapter, context)
        adapted = adapter.adapt(module, context.seed)
        around = checkpointing(module) if self.gradient_checkpointing else nullcontext
        ranks = context.ranks if self.sharding == "layers" and context.ranks.size > 1 else None
        models = {id(model): model for model in (adapted.inner, adapted.reference)}.values()
        if ranks is not None:
            self._spread(adapted, models, way, ranks)
        if compiled:
            for model in models:
                compile_layers(model)
        tally = Tally()
        return CausalPolicy(
            adapted,
            CausalReader(adapted.inner, self.sampling_temperature, around, way, tally),
            CausalReader(adapted.reference, self.sampling_temperature, adapted.as_reference, way, tally),
            Texts(tokenizer, prompt_template, self.max_prompt_tokens),
            self.sampling_temperature,
            packing=packing,
            ranks=ranks,
        )

    def _spread(self, adapted: Adapted, models: Iterable[Any], way: Way, ranks: Ranks) -> None:
        """Keep only this rank's part of the layers.

        Raises:
            ConfigError: something of it cannot be done with parts.
        """
        if way == "rows":
            raise ConfigError(
                "policy.packing must be none for this model with policy.sharding=layers, got auto: it would be read in "
                "as many passes as there are lengths, and all ranks must make the same number of them"
            )
        if adapted.weights is None:
            raise ConfigError(
                f"policy.sharding must be none with policy/adapter={self.adapter['name']}, whose Adapted says no "
                "weights, got layers: parts could not be saved"
            )
        for model in models:
            spread(model, ranks, "policy.sharding")

    def _loaded(self, path: str) -> tuple[Any, Any]:
        """Weights and tokenizer; an adapter is merged into its base, and what comes of it is the reference too."""
        from transformers import AutoModelForCausalLM

        source = Source("policy.path", path, "of a causal language model", REMEDY)
        tokenizer = tokenizer_of(with_tokenizer(source), padding_side="left")
        dtype = getattr(torch, self.dtype)
        module = merged(AutoModelForCausalLM, source, dtype=dtype, attn_implementation=self.attention)
        check_text_only("policy.path", path, module)
        return module, tokenizer
