"""What of a finite list of prompts is drawn: one side of the split, without those that are too long."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context, PromptSource
from safelab.corpus.fitting import readable, reader
from safelab.errors import DataError
from safelab.parts.data._epochs import Epochs, Finite


class Split(Finite):
    """A source of many records, of which a part is kept back.

    ``limit``: only the first records, null for all. ``held_out``: of these the last ones are kept back; ``part`` says
    which of the two sides is drawn. ``max_tokens``: prompts with more of the policy's tokens are left out and counted,
    null for no bound. The other keys: see ``Finite``.
    """

    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=0)]
    part: Literal["train", "held_out"]
    max_tokens: Annotated[int, Field(ge=1)] | None

    def drawn(self, records: Sequence[str], context: Context) -> PromptSource:
        """Each different prompt of ``part`` once per pass.

        Records share prompts: one that is kept back is not trained on because another record has it too.

        Args:
            records: the prompt of each record, in the records' order.
            context: knows the policy, and whom to tell.

        Raises:
            DataError: a prompt cannot be read, or nothing is left.
        """
        texts = records[: self.limit]
        border = max(0, len(texts) - self.held_out)
        kept_back = dict.fromkeys(texts[border:])
        train = dict.fromkeys(text for text in texts[:border] if text not in kept_back)
        side = list(train if self.part == "train" else kept_back)
        prompts = readable(side, reader(context), "data", self.skip_unfit, context.progress)
        short = tuple(prompt for prompt in prompts if self._fits(prompt, context))
        if len(short) < len(prompts):
            longer = f"{len(prompts) - len(short)} of {len(prompts)} prompts have more than {self.max_tokens} tokens"
            context.progress(f"data: {longer} and are left out")
        if not short:
            raise DataError(
                f"data must leave at least one prompt, got none of {len(texts)} records with data.part={self.part}, "
                f"held_out={self.held_out}, max_tokens={self.max_tokens}; change one of these"
            )
        return Epochs(short, self.seed)

    def _fits(self, prompt: str, context: Context) -> bool:
        if self.max_tokens is None or context.policy is None:
            return True
        return context.policy.count_tokens(prompt) <= self.max_tokens
