"""How long a run would take: its operations, counted from the policy's shape, over a speed that is assumed.

operations of an update = 2 N T (w + 2 + e k)

N weights that multiply (all but the table of embeddings), T tokens of an update's rows at full length; w = 1 where the
policy writes them, 2 passes score them (policy and reference), and each of e epochs costs k passes: 3 (forward, and
twice that back), 2 where only an adapter trains, and 1 more where activations are computed again. Attention's own
products, the reward model and reading memory are left out, so that writing takes longer than this says.

Ref: Kaplan et al. 2020, arXiv 2001.08361, section 2.1 (2 N per token and pass).
"""

from collections.abc import Mapping
from typing import Any

SPEED = 1e14
"""Operations a second: a round number, no measurement; an H100's bfloat16 peak is ten times that."""


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
    if "pairs per update" in table:
        learnt, written = 2 * table["pairs per update"], table["responses per update"]
        measured = table["updates that are measured"] / config["updates"]
        rows = learnt * (1 + passes) + written * 3 * measured  # the reference reads the pairs
    else:
        rows = table["responses per update"] * (1 + 2 + passes * config["optimizer"]["epochs"])
    return float(2 * weights * tokens * rows)


def hours(operations_in_all: float) -> float:
    """At ``SPEED``."""
    return operations_in_all / SPEED / 3600
