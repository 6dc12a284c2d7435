"""``safelab train dry_run=true``: what a run would be and need, from the model's shape and the prompts' lengths.

No weights are loaded, and nothing is fetched.
"""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import yaml

from safelab.app.config.help import written
from safelab.app.dry_run.memory import LEARNT, TRAINED, WRITTEN
from safelab.app.dry_run.shapes import CLASSIFIERS, SHAPES
from safelab.app.dry_run.time import on_a_cpu, operations, time_lines, value_operations
from safelab.pretrained.adapters import base_of
from safelab.pretrained.limits import positions_of, trained_at
from safelab.pretrained.load import Source, check_precision
from safelab.pretrained.load import shape_of as shape_of_model
from safelab.runlog.flat import leaves
from safelab.training.fit import check_length, length_note

if TYPE_CHECKING:
    from safelab.app.dry_run.lengths import Lengths
    from safelab.app.dry_run.memory import Need

GIB = 2**30

MORE_ON_A_CPU = "on a CPU the process holds more: its libraries, and what malloc keeps of freed memory"
"""Twice the tensors where we measured it: docs/log.md."""


def show(config: Mapping[str, Any], first: Mapping[str, Any] | None = None, here: bool = True) -> int:
    """Print configuration, batch table, parameters, memory and operations; returns the exit code.

    Args:
        config: of the run.
        first: of the sweep's first arm, which was shown whole; of this one only what differs is.
        here: whether the run is to be on this machine; another is taken to have a GPU unless ``device`` says otherwise.

    Raises:
        ConfigError: the policy's shape is not known here.
    """
    if first is None:
        print(yaml.safe_dump(dict(config), sort_keys=False).rstrip())
    else:
        print("\n".join(but_for(first, config)))
    print("\nbatches")
    for name, value in batches(config).items():
        print(f"  {name.ljust(34)} {value:,}")
    shape = shape_of(config["policy"])
    check_length(config, positions_of(shape))
    longest = longest_of(config)
    found = need(config, longest)
    print("\npolicy")
    print(f"  {'parameters'.ljust(34)} {found.parameters:,}")
    print(f"  {'of these trained'.ljust(34)} {found.trained:,}")
    if found.value.parameters:
        print(f"\nvalue network\n  {'parameters, all trained'.ljust(34)} {found.value.parameters:,}")
    print(f"\nlengths, tokens ({longest.said})")
    print(f"  {'longest prompt'.ljust(34)} {longest.prompt:,}")
    print(f"  {'longest response'.ljust(34)} {longest.response:,}")
    print("\n" + "\n".join(textwrap.wrap(memory_heading(config), 80)))
    for name, size in memory_parts(found).items():
        print(f"  {name.ljust(34)} {size / GIB:.2f}")
    if found.engine:
        place = engine_place(config["rollout"])
        print(f"  {place.ljust(34)} {engine_said(config['rollout'], found.engine, config['ranks'])}")
    print(f"({MORE_ON_A_CPU})")
    width = longest.prompt + longest.response
    each = operations(config, batches(config), found.parameters, shape, width)
    each += value_operations(config, batches(config), found.value.multiplied, width)
    cpu = on_a_cpu(config["device"], visible_gpus() if here else 1)
    print("\n" + "\n".join(time_lines(each, config["updates"], cpu)))
    if said := length_note(config, trained_at(shape), longest.prompt):
        print(f"\nnote: {said}")
    for told in engine_notes(config["rollout"], visible_gpus()) if found.engine else ():
        print(textwrap.fill(f"note: {told}", 80, initial_indent="\n", break_on_hyphens=False))
    return 0


def engine_place(rollout: Mapping[str, Any]) -> str:
    """Where the engine runs."""
    devices = rollout["devices"]
    return f"the engine, on GPU {', '.join(map(str, devices))}" if devices else "the engine, beside that peak"


def memory_heading(config: Mapping[str, Any]) -> str:
    """Whose memory it is, and what is not in it."""
    ranks = config["ranks"]
    without = "the reward model" if has_value_network(config) else "reward or value model"
    if ranks == 1:
        return f"memory, GiB (estimated; without {without})"
    layers = config["policy"].get("sharding", "none") == "layers"
    whole = "the layers' weights, gradients and averages are divided by the ranks" if layers else "weights are whole"
    return f"memory of each of {ranks} ranks, GiB (estimated; {whole}; without {without}, whole on each)"


def memory_parts(found: "Need") -> dict[str, int]:
    """Bytes by what they are for; what only several ranks or a value network have is left out where it is nothing."""
    parts = {
        "weights, reference included": found.weights,
        "the optimiser's averages": found.averages,
        "all layers whole (sampling)": found.written_with,
        "key-value cache (sampling)": found.cache,
        "the reference's states (update)": found.states,
        "two layers whole (update)": found.trained_with,
        "activations (update)": found.activations + found.recomputed,
        "logits, in pieces (update)": found.logits,
        "gradients (update)": found.gradients,
        "the first of two gradients (update)": found.second,
        "value network, with its averages": found.value.weights + found.value.averages,
        "its activations (update)": found.value.activations,
        "its gradients (update)": found.value.gradients,
        "their exchange, in pieces (update)": max(found.exchange, found.value.exchange),
        "peak of the tensors": found.peak,
    }
    of_some = (
        "all layers whole (sampling)", "two layers whole (update)", "their exchange, in pieces (update)",
        "value network, with its averages", "its activations (update)", "its gradients (update)",
        "the first of two gradients (update)",
    )  # fmt: skip
    return {name: size for name, size in parts.items() if size or name not in of_some}


def engine_said(rollout: Mapping[str, Any], weights: int, ranks: int) -> str:
    """What vLLM takes of a GPU: the share that it is given, whatever the model needs."""
    devices = rollout["devices"] or [None]
    # Each rank's engine has the whole model, split over its share of the GPUs.
    share, each = f"{rollout['memory_share']:.0%} of", weights / max(1, len(devices) // ranks) / GIB
    if rollout["devices"]:
        return f"{share} {'that' if len(devices) == 1 else 'each'} GPU, all the time; its weights {each:.2f}"
    while_it_writes = ", while it writes" if rollout["sleep"] else ", all the time (rollout.sleep=false)"
    return f"{share} the GPU{while_it_writes}; its weights {each:.2f}"


def engine_notes(rollout: Mapping[str, Any], visible: int) -> Iterator[str]:
    """What to tell of an engine that would not start here, or leaves GPUs idle.

    Args:
        rollout: its options.
        visible: GPUs that this process sees.
    """
    if find_spec("vllm") is None:
        yield "vLLM is not installed here: a run would be refused; pip install './safelab[vllm]'"
    devices = rollout["devices"] or []
    if absent := [device for device in devices if device >= visible]:
        yield f"GPU {', '.join(map(str, absent))} is not here ({visible} visible): a run would be refused"
    if devices and rollout["staleness"] == 0:
        yield (
            "with rollout.staleness=0 the engine waits while the policy is trained, and that while the engine writes; "
            "rollout.staleness=1 lets them work side by side"
        )


def visible_gpus() -> int:
    """GPUs that a run started here would see."""
    import torch

    return torch.cuda.device_count()


def but_for(first: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """What makes an arm another than the first: keys that it has otherwise, then those that it lacks."""
    there, here = leaves(first), leaves(config)
    yield f"configuration of {first['arm']}, but for"
    for key, value in here.items():
        if key != "arm" and (key not in there or there[key] != value):
            yield f"  {key}={written(value)}"
    if lacking := ", ".join(key for key in there if key not in here):
        yield from textwrap.wrap(f"  without {lacking}", 80, subsequent_indent="    ", break_long_words=False)


def batches(config: Mapping[str, Any]) -> dict[str, int]:
    """How an update is cut, and what the run adds up to."""
    rollout, optimizer = config["rollout"], config["optimizer"]
    if config["pairs"]["name"] != "none":
        return pair_batches(config)
    responses, pieces, epochs = rollout["batch_size"], optimizer["minibatches"], optimizer["epochs"]
    minibatch, ranks = -(-responses // pieces), config["ranks"]
    of_a_rank = {} if ranks == 1 else {WRITTEN: -(-responses // ranks), TRAINED: -(-minibatch // ranks)}
    learnt = of_a_rank.get(TRAINED, minibatch)
    micro = min(optimizer["micro_batch_size"] or learnt, learnt)
    return {
        "prompts per update": responses // rollout.get("samples_per_prompt", 1),
        "responses per update": responses,
        "minibatches per epoch": pieces,
        "responses per minibatch": minibatch,
        **of_a_rank,
        "responses per forward pass": micro,
        **tokens_of(optimizer),
        "optimiser steps per update": pieces * epochs,
        "updates": config["updates"],
        "responses in all": responses * config["updates"],
        "optimiser steps in all": pieces * epochs * config["updates"],
        "response tokens in all, at most": responses * config["updates"] * rollout["max_new_tokens"],
    }


def tokens_of(optimizer: Mapping[str, Any]) -> dict[str, int]:
    """The other bound of a forward pass, where it is set."""
    tokens = optimizer.get("micro_batch_tokens")
    return {} if tokens is None else {"and tokens, at most": tokens}


def pair_batches(config: Mapping[str, Any]) -> dict[str, int]:
    """The same of an offline run, whose responses are measured and not learnt from."""
    pairs, rollout, updates = config["pairs"], config["rollout"], config["updates"]
    ranks, responses = config["ranks"], rollout["batch_size"]
    learnt = -(-pairs["batch_size"] // ranks)
    of_a_rank = {} if ranks == 1 else {WRITTEN: -(-responses // ranks), LEARNT: learnt}
    answers = 2 * learnt
    size = config["optimizer"]["micro_batch_size"]
    return {
        "pairs per update": pairs["batch_size"],
        "responses per forward pass": answers if size is None else min(answers, size // 2 * 2),
        **tokens_of(config["optimizer"]),
        "responses per update": responses,
        **of_a_rank,
        "updates": updates,
        "updates that are measured": -(-updates // pairs["evaluate_every"]),
        "pairs in all": pairs["batch_size"] * updates,
        "optimiser steps in all": updates,
    }


def need(config: Mapping[str, Any], longest: "Lengths | None" = None) -> "Need":
    """Parameters and memory of a run's policy; ``longest``: of the run's texts, which are read where that is None.

    Raises:
        ConfigError: the policy's shape is not known here.
    """
    from safelab.app.dry_run import memory

    shape = shape_of(config["policy"])
    check_length(config, positions_of(shape))
    value_shape = value_shape_of(config["critic"]) if has_value_network(config) else None
    return memory.need(config, shape, batches(config), longest or longest_of(config), value_shape)


def has_value_network(config: Mapping[str, Any]) -> bool:
    """Whether the run trains a value network of its own."""
    return bool(config["critic"]["name"] == "value_model")


def longest_of(config: Mapping[str, Any]) -> "Lengths":
    """The longest texts that the run will meet; see ``lengths``."""
    from safelab.app.console import progress
    from safelab.app.dry_run.lengths import lengths

    with progress() as say:
        return lengths(config, batches(config), say)


def shape_of(policy: Mapping[str, Any]) -> Any:
    """The model's configuration: known here, or from its files or the hub.

    Raises:
        ConfigError: none of these has it.
    """
    if policy["name"] == "tiny":
        from safelab.world.language_model import llama_config
        from safelab.world.languages import language_of
        from safelab.world.options import WorldOptions
        from safelab.world.tokenizer import build_tokenizer

        world = WorldOptions(**policy["world"])
        return llama_config(world.language_model, build_tokenizer(language_of(world).words()))
    return shape_at("policy.path", policy["path"], SHAPES)


def value_shape_of(critic: Mapping[str, Any]) -> Any:
    """The configuration of the classifier that a value network starts from.

    Raises:
        ConfigError: it is not known here, nor in files or on the hub.
    """
    return shape_at("critic.path", critic["path"], CLASSIFIERS)


def shape_at(key: str, path: str, known: Mapping[str, Mapping[str, Any]]) -> Any:
    """The configuration of the model that ``key`` names; ``known``: shapes that need no files.

    Raises:
        ConfigError: neither these nor files nor the hub have it.
    """
    from transformers import AutoConfig

    if path in known:
        given = dict(known[path])
        return AutoConfig.for_model(given.pop("model_type"), **given)
    remedy = f"dry_run must know the model's shape: give a directory with config.json, or one of {', '.join(known)}"
    source = Source(key, path, "with a model's config.json", remedy)
    while (base := base_of(source)) is not None:
        source = replace(source, path=base)
    shape = shape_of_model(source)
    check_precision(source, shape)
    return shape
