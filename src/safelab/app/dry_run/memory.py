"""What a run's policy needs of memory, from its shape alone: see ``app.dry_run.estimate``.

Counts are exact. Memory is what tensors take at the peak of an update: weights, optimiser states, gradients, key-value
cache, logits, the reference's states, and the activations that a forward pass on torch's meta device says it would
keep. A value network that learns is in it, see ``value_network``; the reward model is not, nor a frozen value model,
nor what an allocator leaves unused. Within 10 % of what torch's allocator held, without a value network: docs/log.md.
Of several ranks it is what each one holds: see ``division``.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelab.app.dry_run.activations import activations, fused_attention
from safelab.app.dry_run.division import division, largest_exchange, rows_held, size_of, written_with
from safelab.app.dry_run.lengths import Lengths
from safelab.app.dry_run.value_network import NONE, ValueNeed, value_network
from safelab.errors import ConfigError

WRITTEN, TRAINED = "responses per update, of a rank", "responses per minibatch, of a rank"
LEARNT = "pairs per update, of a rank"
"""What a table of batches has besides where the run has several ranks: the most that one writes and learns from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Parameters, and bytes by what they are for.

    ``held`` is there from the first step to the last: weights and the optimiser's averages. Of the rest ``peak`` takes
    what is there at once: sampling has its cache, a backward pass activations, logits and the gradients made so far,
    an optimiser step all gradients and as much again for its own arithmetic (``foreach``). ``states``: the reference's
    states, and for some objectives the old distributions, from scoring until the last step. ``engine``: the weights
    that another engine keeps for itself, which are in none of the others; its cache takes what it is given besides.

    With ``policy.sharding=layers``, ``written_with`` and ``trained_with`` come beside the parts of the weights while
    the policy writes, and while it learns. ``exchange``: the buffer through which ranks add up their gradients;
    ``summed``: all that goes through it. ``layer_weights``, ``layer_gradients``: of all layers, divided or not.
    ``value``: what a value network of its own needs besides; it is in none of the others. ``second``: beside a second
    gradient, the first one and the weights where it was taken.
    """

    parameters: int
    trained: int
    weights: int
    averages: int
    gradients: int
    head_gradients: int
    cache: int
    logits: int
    activations: int
    recomputed: int
    layers: int
    pieces: int
    engine: int
    states: int
    written_with: int
    trained_with: int
    exchange: int
    summed: int
    layer_weights: int
    layer_gradients: int
    value: ValueNeed
    second: int

    @property
    def held(self) -> int:
        """Bytes that stay."""
        return self.weights + self.averages + self.value.weights + self.value.averages

    @property
    def backward(self) -> int:
        """Bytes of the policy's backward passes of one optimiser step, besides what stays.

        The head's gradient comes first, as a sum and a summand; the last layer's comes when one layer's activations are
        left. From the second piece on, the gradients of those before are there throughout.
        """
        # With checkpointing the last layer is computed again when the logits are gone.
        first = self.activations + max(self.logits + 2 * self.head_gradients, self.recomputed)
        if self.pieces > 1:
            return self.gradients + first
        return max(first, self.gradients + self.activations // self.layers)

    @property
    def both_backward(self) -> int:
        """The same with the value network's, which runs first, while the policy's activations wait."""
        waiting = self.activations + (self.gradients if self.pieces > 1 else 0)
        return max(self.backward + self.value.gradients, waiting + self.value.backward(self.pieces))

    @property
    def peak(self) -> int:
        """Bytes at the peak."""
        both = self.gradients + self.value.gradients
        exchange = max(self.exchange, self.value.exchange)
        # The policy steps first, and its gradients are gone when the value network does.
        steps = max(both + self.gradients, 2 * self.value.gradients)
        learning = max(self.both_backward + self.trained_with + self.second, both + exchange, steps)
        return self.held + max(self.written_with + self.cache, self.states + learning)


def need(
    config: Mapping[str, Any], shape: Any, table: Mapping[str, int], longest: Lengths, value_shape: Any = None
) -> Need:
    """Parameters and memory.

    Args:
        config: the run's, resolved.
        shape: the model's configuration, of ``transformers``.
        value_shape: that of a value network that learns; None for a run without one.
        table: ``dry_run.batches`` of ``config``.
        longest: of the run's texts.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from safelab.contracts import Adapter, Context
    from safelab.parts.controller.stack import route_class
    from safelab.parts.policy._vocabulary import tokens_per_chunk
    from safelab.plugins import build_option
    from safelab.pretrained.load import FAULTS, Source, reason_of, told
    from safelab.pretrained.whole import check_text_only

    policy = config["policy"]
    attention = "eager" if policy["attention"] == "eager" else fused_attention()
    source = Source("policy.path", str(policy.get("path")), "of a causal language model", "give another model")
    with told(source, policy["attention"]), torch.device("meta"):
        module = AutoModelForCausalLM.from_config(
            copy.deepcopy(shape),  # which keeps the attention's name
            dtype=getattr(torch, policy["dtype"]),
            attn_implementation=attention,
            trust_remote_code=False,
        ).eval()
    check_text_only("policy.path", source.path, module)
    parameters = count_of(module.parameters())
    context = Context(seed=0, device=torch.device("meta"), cache=Path())
    adapter: Adapter = build_option("policy/adapter", policy["adapter"], context)
    adapted = adapter.adapt(module, context.seed)
    every = {id(weight): weight for weight in (*adapted.trained.parameters(), *adapted.reference.parameters())}
    trained = [weight for weight in adapted.trained.parameters() if weight.requires_grad]
    ranks = config["ranks"]
    divided = division((adapted.inner, adapted.reference), ranks, policy.get("sharding", "none"))
    prompt, response, written = longest.prompt, longest.response, config["rollout"]["max_new_tokens"]
    # A cache of fixed size has room for the longest prompt that there may be.
    grows = config["rollout"].get("decoding", "dynamic") == "dynamic"
    room = (prompt if grows else policy["max_prompt_tokens"]) + written
    cache = cached_per_token(shape) * module.dtype.itemsize * table.get(WRITTEN, table["responses per update"]) * room
    widest = widest_pass(config, table, longest)
    read = widest.rows * response
    chunk = min(read, tokens_per_chunk(read, shape.vocab_size))
    full = -(-widest.positions // (prompt + response))  # rows of the full width that hold as many positions
    try:
        kept = activations(adapted.inner, full, prompt + response, policy["gradient_checkpointing"])
    except FAULTS as error:  # its pass reads values, which torch's meta device has none of, or has another attention
        raise ConfigError(
            f"dry_run must follow a model's pass to foretell its memory, and cannot that of {type(module).__name__} "
            f"({reason_of(error)}); the run itself does not need it"
        ) from error
    # A controller of the user's own may have no route.
    route = route_class(config["controller"].get("route"))
    exact = route is not None and route.needs_exact
    follows = config["controller"].get("reference", {}).get("name", "frozen") != "frozen"
    moving = size_of(adapted.inner.parameters()) if follows else 0
    elsewhere = config["rollout"]["name"] == "vllm"  # which has weights and a cache of its own
    head = adapted.inner.get_output_embeddings().parameters()
    value = NONE
    if value_shape is not None:
        value = value_network(config, value_shape, widest.positions, prompt + response)
    return Need(
        parameters=parameters,
        trained=count_of(trained),
        weights=divided.held(every.values()) + moving,
        # AdamW's two averages, each in the weight's own type, or a byte each.
        averages=2
        * divided.held(trained)
        // (1 if config["optimizer"]["name"] != "adamw_8bit" else module.dtype.itemsize),
        gradients=divided.held(trained),
        head_gradients=size_of(weight for weight in head if weight.requires_grad),
        cache=0 if elsewhere else cache,
        # Float32 values that live for each logit of a piece, see ``policy._vocabulary``: fewer without an exact KL.
        logits=(6 if exact else 5) * 4 * chunk * shape.vocab_size,
        activations=kept[0] * widest.positions // (full * (prompt + response)),
        recomputed=kept[1] * widest.positions // (full * (prompt + response)),
        layers=shape.num_hidden_layers,
        engine=parameters * module.dtype.itemsize if elsewhere else 0,
        pieces=widest.pieces,
        states=states(config, table, shape, response, exact),
        written_with=written_with(config, divided.whole(adapted.inner.parameters())),
        # A layer's gradient is whole until it is added to the other ranks', from a buffer of its size.
        trained_with=divided.two(adapted.inner.parameters()) + divided.two(trained),
        exchange=largest_exchange(divided.undivided(trained)) if ranks > 1 else 0,
        summed=size_of(divided.undivided(trained)) + value.gradients if ranks > 1 else 0,
        layer_weights=sum(divided.layers(adapted.inner.parameters())),
        layer_gradients=sum(divided.layers(trained)),
        value=value,
        second=2 * divided.held(trained) if config["optimizer"].get("gradient_penalty", {}).get("coef") else 0,
    )


@dataclass(frozen=True, slots=True)
class Pass:
    """The most rows and positions of a training pass, and how many passes make an optimiser step."""

    rows: int
    positions: int
    pieces: int


def widest_pass(config: Mapping[str, Any], table: Mapping[str, int], longest: Lengths) -> Pass:
    """What a pass holds at most, every response in full.

    Rows are shuffled into minibatches, so that the longest may meet: they are taken in order of length. Without padding
    a pass holds tokens, with it rows of the widest. A prompt that several rows share may stand once; that is left out.
    """
    from safelab.maths.filled import filled

    width, rows = longest.prompt + longest.response, table["responses per forward pass"]
    pairs = table.get(LEARNT) or table.get("pairs per update", 0)
    together = table.get(TRAINED) or table.get("responses per minibatch") or 2 * pairs
    tokens = config["optimizer"].get("micro_batch_tokens") or together * width
    padded = config["policy"].get("packing", "none") == "none" or reads_padding(config)
    passes = []
    for prompts in longest.rollouts or [(longest.prompt,) * together]:
        sizes = sorted((prompt + longest.response for prompt in prompts), reverse=True)[:together]
        pieces = [sizes[piece] for piece in filled(sizes, rows, tokens)]
        most = max(len(piece) for piece in pieces)
        positions = most * width if padded else max(sum(piece) for piece in pieces)
        passes.append(Pass(most, positions, len(pieces)))
    return Pass(*(max(getattr(one, name) for one in passes) for name in ("rows", "positions", "pieces")))


def states(config: Mapping[str, Any], table: Mapping[str, int], shape: Any, response: int, exact: bool) -> int:
    """Bytes of the reference's states and of the old distributions that one rank holds; none of pairs.

    Args:
        config, table, shape: of the run, as ``need`` has them.
        response: columns of a rollout.
        exact: whether the KL in the loss is of whole distributions, which reads the reference's states.
    """
    if config["pairs"]["name"] != "none":
        return 0
    import torch

    from safelab.plugins import find

    kind = getattr(torch, config["policy"]["dtype"])
    batch, cut = table["responses per update"], config["optimizer"]["minibatches"]
    vocabulary = "full_logits" in find("objective", config["objective"]["name"]).needs
    held: int = kind.itemsize * shape.hidden_size * rows_held(batch, config["ranks"], cut, exact)
    if vocabulary:
        held += 4 * shape.vocab_size * rows_held(batch, config["ranks"], cut, True)  # float32
    return held * response


def reads_padding(config: Mapping[str, Any]) -> bool:
    """``app.config.build.reads_padding`` of a configuration."""
    everywhere = config["objective"].get("entropy_positions") == "all"
    return bool(everywhere or config["critic"].get("read_at") == "last_position")


def cached_per_token(shape: Any) -> int:
    """Numbers that the key-value cache holds for a token; a recurrent model has a state instead, of fixed size."""
    heads = getattr(shape, "num_attention_heads", None)
    if heads is None:
        return 0
    head_size = getattr(shape, "head_dim", None) or shape.hidden_size // heads
    return int(2 * shape.num_hidden_layers * (getattr(shape, "num_key_value_heads", None) or heads) * head_size)


def count_of(weights: Iterable[Any]) -> int:
    """Numbers."""
    return sum(weight.numel() for weight in weights)
