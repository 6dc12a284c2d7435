"""What of a finite list of prompts is drawn: one side of the split, without those that are too long."""

from collections.abc import Sequence
from typing import Literal

from safelab.contracts import Context
from safelab.errors import DataError
from safelab.parts.data._epochs import Epochs

Part = Literal["train", "held_out"]


def drawn(
    texts: Sequence[str], held_out: int, part: Part, max_tokens: int | None, seed: int, context: Context
) -> Epochs:
    """Each different prompt of ``part`` once per pass.

    Records share prompts: one that is kept back is not trained on because another record has it too.

    Args:
        texts: the prompt of each record, in the records' order.
        held_out: how many records are kept back, the last ones.
        part: the side that is drawn.
        max_tokens: prompts with more of the policy's tokens are left out and counted; None for no bound.
        seed: of the order.
        context: knows the policy, and whom to tell.

    Raises:
        DataError: nothing is left.
    """
    border = max(0, len(texts) - held_out)
    kept_back = dict.fromkeys(texts[border:])
    train = dict.fromkeys(text for text in texts[:border] if text not in kept_back)
    prompts = list(train if part == "train" else kept_back)
    short = [prompt for prompt in prompts if _fits(prompt, max_tokens, context)]
    if len(short) < len(prompts):
        longer = f"{len(prompts) - len(short)} of {len(prompts)} prompts have more than {max_tokens} tokens"
        context.progress(f"data: {longer} and are left out")
    if not short:
        raise DataError(
            f"data must leave at least one prompt, got none of {len(texts)} records with data.part={part}, "
            f"held_out={held_out}, max_tokens={max_tokens}; change one of these"
        )
    return Epochs(short, seed)


def _fits(prompt: str, max_tokens: int | None, context: Context) -> bool:
    return max_tokens is None or context.policy is None or context.policy.count_tokens(prompt) <= max_tokens
