"""How long a run would take: its operations, counted from the policy's shape, over a speed that is assumed.

operations of an update = 2 N T (w + 2 + e k)

N weights that multiply (all but the table of embeddings), T tokens of an update's rows at full length; w = 1 where the
policy writes them, 2 passes score them (policy and reference), and each of e epochs costs k passes: 3 (forward, and
twice that back), 2 where only an adapter trains, and 1 more where activations are computed again; all of them twice
with a gradient penalty. A moving reference is a third pass that scores. A value network of N'
such weights adds 2 N' T (1 + 3 e). A bound from below: attention's own products and the reward model are left out, and
that a policy that writes waits for its memory. Hours are those of a GPU; a CPU's speed is not assumed, so a run on one
gets its operations alone.

Ref: Kaplan et al. 2020, arXiv 2001.08361, section 2.1 (2 N per token and pass).
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

SPEED = 1e14
"""Operations a second: a round number, no measurement; an H100's bfloat16 peak is ten times that."""

LEFT_OUT = (
    "at least: without attention's own products, the reward model, and reading memory while the policy writes, which "
    "may take longer than all of this"
)
OF_A_GPU = "hours if 100 * 10^12 operations a second are reached in all; a large GPU may reach more"
OF_A_CPU = (
    "no hours, for here it runs on a CPU, whose speed is not assumed; a GPU that reaches 100 * 10^12 operations a "
    "second makes 360,000 * 10^12 in an hour"
)


def operations(config: Mapping[str, Any], table: Mapping[str, int], parameters: int, shape: Any, tokens: int) -> float:
    """Operations of an update, on average.

    Args:
        config: of the run, resolved.
        table: ``estimate.batches`` of it.
        parameters: of the policy.
        shape: its configuration, of ``transformers``.
        tokens: of a row: the longest prompt and the longest response.
    """
    tied = getattr(shape, "tie_word_embeddings", False)
    weights = parameters - (0 if tied else shape.vocab_size * shape.hidden_size)
    adapted = config["policy"].get("adapter", {}).get("name", "none") != "none"
    passes = (2 if adapted else 3) + int(config["policy"]["gradient_checkpointing"])
    passes *= 2 if config["optimizer"].get("gradient_penalty", {}).get("coef") else 1
    if "pairs per update" in table:
        learnt, written = 2 * table["pairs per update"], table["responses per update"]
        measured = table["updates that are measured"] / config["updates"]
        rows = learnt * (1 + passes) + written * 3 * measured  # the reference reads the pairs
    else:
        scores = 2 if config["controller"].get("reference", {}).get("name", "frozen") == "frozen" else 3
        rows = table["responses per update"] * (1 + scores + passes * config["optimizer"]["epochs"])
    return float(2 * weights * tokens * rows)


def value_operations(config: Mapping[str, Any], table: Mapping[str, int], multiplied: int, tokens: int) -> float:
    """Operations that a value network of its own adds to an update: it scores each row, and learns in each epoch.

    Args:
        config: of the run, resolved.
        table: ``estimate.batches`` of it.
        multiplied: its weights that multiply, 0 for no such network.
        tokens: of a row: the longest prompt and the longest response.
    """
    return float(2 * multiplied * tokens * table["responses per update"] * (1 + 3 * config["optimizer"]["epochs"]))


def hours(operations_in_all: float) -> float:
    """At ``SPEED``."""
    return operations_in_all / SPEED / 3600


def time_lines(each: float, updates: int, cpu: bool) -> Iterator[str]:
    """What a dry run says of time.

    Args:
        each: operations of an update.
        updates: of the run.
        cpu: whether it runs on a CPU.
    """
    rows = {"10^12 operations per update": each / 1e12, "10^12 operations in all": each * updates / 1e12}
    if not cpu:
        rows["hours in all, at least"] = hours(each * updates)
    yield from textwrap.wrap(f"time ({LEFT_OUT})", 80)
    yield from (f"  {name.ljust(34)} {value:,.3g}" for name, value in rows.items())
    yield from textwrap.wrap(f"({OF_A_CPU if cpu else OF_A_GPU})", 80)


def on_a_cpu(device: str, gpus: int) -> bool:
    """Whether a run is on a CPU.

    Args:
        device: the configuration's key.
        gpus: how many are visible where it runs.
    """
    return device == "cpu" or (device == "auto" and gpus == 0)
