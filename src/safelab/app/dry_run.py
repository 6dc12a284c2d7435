"""``safelab train dry_run=true``: what a run would be and need, from the model's shape alone; no weights are loaded.

Counts are exact. Memory is what tensors take at the peak of an update: weights, gradients and optimiser states,
key-value cache, logits, and the activations that a forward pass on torch's meta device says it would keep. The reward
model is not in it, nor a frozen value model, nor what an allocator leaves unused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from safelab.errors import ConfigError

GIB = 2**30

# Shapes of the presets' models (their published config.json), so that a dry run needs neither files nor hub.
SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-3B": {
        "model_type": "qwen2", "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-0.5B": {
        "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "meta-llama/Llama-3.2-1B": {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": True,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Parameters, and bytes by what they are for; ``peak`` is the larger of sampling and update."""

    parameters: int
    trained: int
    weights: int
    optimizer: int
    cache: int
    logits: int
    activations: int

    @property
    def peak(self) -> int:
        """Bytes at the peak."""
        return self.weights + self.optimizer + max(self.cache, self.logits + self.activations)


def show(config: Mapping[str, Any]) -> int:
    """Print configuration, batch table, parameters and memory; returns the exit code.

    Raises:
        ConfigError: the policy's shape is not known here.
    """
    print(yaml.safe_dump(dict(config), sort_keys=False).rstrip())
    print("\nbatches")
    for name, value in batches(config).items():
        print(f"  {name.ljust(34)} {value:,}")
    found = need(config)
    print("\npolicy")
    print(f"  {'parameters'.ljust(34)} {found.parameters:,}")
    print(f"  {'of these trained'.ljust(34)} {found.trained:,}")
    print("\nmemory, GiB (estimated; without reward or value model)")
    parts = {
        "weights, reference included": found.weights,
        "gradients and optimiser states": found.optimizer,
        "key-value cache (sampling)": found.cache,
        "logits, in pieces (update)": found.logits,
        "activations (update)": found.activations,
        "peak": found.peak,
    }
    for name, size in parts.items():
        print(f"  {name.ljust(34)} {size / GIB:.2f}")
    return 0


def batches(config: Mapping[str, Any]) -> dict[str, int]:
    """How an update is cut, and what the run adds up to."""
    rollout, optimizer = config["rollout"], config["optimizer"]
    if config["pairs"]["name"] != "none":
        return pair_batches(config)
    responses, pieces, epochs = rollout["batch_size"], optimizer["minibatches"], optimizer["epochs"]
    minibatch = -(-responses // pieces)
    micro = min(optimizer["micro_batch_size"] or minibatch, minibatch)
    return {
        "prompts per update": responses // rollout.get("samples_per_prompt", 1),
        "responses per update": responses,
        "minibatches per epoch": pieces,
        "responses per minibatch": minibatch,
        "responses per forward pass": micro,
        "optimiser steps per update": pieces * epochs,
        "updates": config["updates"],
        "responses in all": responses * config["updates"],
        "optimiser steps in all": pieces * epochs * config["updates"],
        "response tokens in all, at most": responses * config["updates"] * rollout["max_new_tokens"],
    }


def pair_batches(config: Mapping[str, Any]) -> dict[str, int]:
    """The same of an offline run, whose responses are measured and not learnt from."""
    pairs, rollout, updates = config["pairs"], config["rollout"], config["updates"]
    answers = 2 * pairs["batch_size"]
    size = config["optimizer"]["micro_batch_size"]
    return {
        "pairs per update": pairs["batch_size"],
        "responses per forward pass": answers if size is None else min(answers, size // 2 * 2),
        "responses per update": rollout["batch_size"],
        "updates": updates,
        "updates that are measured": -(-updates // pairs["evaluate_every"]),
        "pairs in all": pairs["batch_size"] * updates,
        "optimiser steps in all": updates,
    }


def need(config: Mapping[str, Any]) -> Need:
    """Parameters and memory of a run's policy and critic."""
    import torch
    from transformers import AutoModelForCausalLM

    from safelab.contracts import Context
    from safelab.plugins import build_option
    from safelab.policy._vocabulary import tokens_per_chunk

    policy = config["policy"]
    shape = shape_of(policy)
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(
            shape, dtype=getattr(torch, policy["dtype"]), attn_implementation="sdpa"
        ).eval()
    parameters = sum(weight.numel() for weight in module.parameters())
    context = Context(seed=0, device=torch.device("meta"), cache=Path())
    adapted = build_option("policy/adapter", policy["adapter"], context).adapt(module)
    every = {id(weight): weight for weight in (*adapted.trained.parameters(), *adapted.reference.parameters())}
    trained = [weight for weight in adapted.trained.parameters() if weight.requires_grad]
    table = batches(config)
    prompt, written = policy["max_prompt_tokens"], config["rollout"]["max_new_tokens"]
    response = max(written, config["pairs"].get("max_response_tokens") or 0)
    rows = table["responses per forward pass"]
    head_size = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    per_token = 2 * shape.num_hidden_layers * shape.num_key_value_heads * head_size * module.dtype.itemsize
    chunk = tokens_per_chunk(rows * response, shape.vocab_size)
    return Need(
        parameters=parameters,
        trained=sum(weight.numel() for weight in trained),
        weights=sum(weight.numel() * weight.element_size() for weight in every.values()),
        # The gradient and AdamW's two averages, each in the weight's own type.
        optimizer=3 * sum(weight.numel() * weight.element_size() for weight in trained),
        cache=per_token * table["responses per update"] * (prompt + written),
        logits=CHUNK_BUFFERS * 4 * chunk * shape.vocab_size,
        activations=activations(adapted.inner, rows, prompt + response, policy["gradient_checkpointing"]),
    )


CHUNK_BUFFERS = 7
"""Float32 values that live for each logit of a piece; see ``policy._vocabulary``."""


def activations(module: Any, rows: int, tokens: int, checkpointing: bool) -> int:
    """Bytes that autograd keeps of a forward pass.

    With checkpointing: the layers' inputs, and of one layer all that it keeps while it is computed again.
    """
    import torch

    from safelab.policy._reading import backbone

    ids = torch.zeros(rows, tokens, dtype=torch.long, device="meta")
    # Given whole, for the making of a mask reads values, which the meta device has none of.
    mask = torch.ones(rows, 1, tokens, tokens, dtype=torch.bool, device="meta")
    weights = {weight.untyped_storage()._cdata for weight in module.parameters()}
    kept: dict[int, tuple[Any, int]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        # No fused attention keeps its scores, which the meta device's does.
        if storage._cdata not in weights and tensor.shape[-2:] != (tokens, tokens):
            kept[storage._cdata] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = backbone(module)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    whole = sum(size for _, size in kept.values())
    if not checkpointing:
        return whole
    layers = module.config.num_hidden_layers
    return int(layers * hidden.untyped_storage().nbytes() + whole // layers)


def shape_of(policy: Mapping[str, Any]) -> Any:
    """The model's configuration: known here, or from its files or the hub.

    Raises:
        ConfigError: none of these has it.
    """
    from transformers import AutoConfig

    if policy["name"] == "tiny":
        from safelab.world.language_model import llama_config
        from safelab.world.options import WorldOptions
        from safelab.world.tokenizer import build_tokenizer

        return llama_config(WorldOptions(**policy["world"]).language_model, build_tokenizer())
    path = policy["path"]
    if path in SHAPES:
        known = dict(SHAPES[path])
        return AutoConfig.for_model(known.pop("model_type"), **known)
    try:
        return AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"dry_run must know the shape of policy.path, got {path!r}: no config.json there; "
            f"give a directory that has one, or one of {', '.join(SHAPES)}"
        ) from error
