"""Prompts of HH-RLHF, from a local file in its own format or from the hub."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context
from safelab.data._epochs import Epochs
from safelab.data._hh import Pair, first_turn, last_turn, locate, read_pairs
from safelab.errors import DataError
from safelab.options import Options as BaseOptions

CUTS: dict[str, Callable[[Pair], str]] = {"first_turn": first_turn, "last_turn": last_turn}


class Options(BaseOptions):
    """``path``: a file, or the data set's name on the hub with its ``subset`` and ``split``.

    ``cut``: where a prompt ends, see ``data._hh``. ``limit``: only the first records, null for all. ``held_out``: of
    these the last ones are kept back; ``part`` says which of the two sides is drawn. ``max_tokens``: prompts with more
    of the policy's tokens are left out and counted, null for none. ``seed``: of the order.
    """

    name: str
    path: str
    subset: str
    split: Literal["train", "test"]
    cut: Literal["first_turn", "last_turn"]
    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=0)]
    part: Literal["train", "held_out"]
    max_tokens: Annotated[int, Field(ge=1)] | None
    seed: Annotated[int, Field(ge=0)]


def build(options: Options, context: Context) -> Epochs:
    """The prompts, each once per pass.

    Raises:
        DataError: no such file or data set, or nothing is left to draw.
    """
    pairs = read_pairs(locate(options.path, options.subset, options.split))[: options.limit]
    border = len(pairs) - options.held_out
    cut = CUTS[options.cut]
    held_out = dict.fromkeys(cut(pair) for pair in pairs[max(0, border) :])
    # Dialogues share first turns: a prompt that is kept back is not trained on because another record has it too.
    train = dict.fromkeys(prompt for prompt in map(cut, pairs[: max(0, border)]) if prompt not in held_out)
    prompts = list(train if options.part == "train" else held_out)
    short = [prompt for prompt in prompts if fits(prompt, options.max_tokens, context)]
    if len(short) < len(prompts):
        longer = f"{len(prompts) - len(short)} of {len(prompts)} prompts have more than {options.max_tokens} tokens"
        context.progress(f"data: {longer} and are left out")
    if not short:
        raise DataError(
            f"data must leave at least one prompt, got none of {len(pairs)} records with data.part={options.part}, "
            f"held_out={options.held_out}, max_tokens={options.max_tokens}; change one of these"
        )
    return Epochs(short, options.seed)


def fits(prompt: str, max_tokens: int | None, context: Context) -> bool:
    """Whether the policy's tokenizer makes at most ``max_tokens`` of ``prompt``; yes where there is no such bound."""
    return max_tokens is None or context.policy is None or context.policy.count_tokens(prompt) <= max_tokens
