"""What of a finite list of prompts is drawn: one side of the split, without those that are too long."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from safelab.contracts import Context, PromptSource
from safelab.errors import DataError
from safelab.parts.data._epochs import NO_COLUMNS, Finite, epochs


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

    def drawn(
        self, records: Sequence[str], context: Context, others: Mapping[str, Sequence[Any]] = NO_COLUMNS
    ) -> PromptSource:
        """Each different prompt of ``part`` once per pass; where columns are read, each different record of them.

        Records share prompts: one that is kept back is not trained on because another record has it too.

        Args:
            records: the prompt of each record, in the records' order.
            context: knows the policy, and whom to tell.
            others: columns that are read, one value per record.

        Raises:
            DataError: a prompt cannot be read, or nothing is left.
        """
        texts = records[: self.limit]
        border = max(0, len(texts) - self.held_out)
        kept_back = set(texts[border:])
        train = [row for row in range(border) if texts[row] not in kept_back]
        side = different(train if self.part == "train" else range(border, len(texts)), texts, others)
        fit = self.readable_rows(side, texts, context)
        short = [row for row in fit if self._fits(texts[row], context)]
        if len(short) < len(fit):
            longer = f"{len(fit) - len(short)} of {len(fit)} prompts have more than {self.max_tokens} tokens"
            context.progress(f"data: {longer} and are left out")
        if not short:
            raise DataError(
                f"data must leave at least one prompt, got none of {len(texts)} records with data.part={self.part}, "
                f"held_out={self.held_out}, max_tokens={self.max_tokens}; change one of these"
            )
        return epochs(short, texts, others, self.seed)

    def _fits(self, prompt: str, context: Context) -> bool:
        if self.max_tokens is None or context.policy is None:
            return True
        return context.policy.count_tokens(prompt) <= self.max_tokens


def different(rows: Sequence[int], texts: Sequence[str], others: Mapping[str, Sequence[Any]]) -> list[int]:
    """The first row of each prompt; two records of one prompt are both there if a column tells them apart."""
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        told = json.dumps([values[row] for values in others.values()], default=str)
        first.setdefault((texts[row], told), row)
    return list(first.values())
