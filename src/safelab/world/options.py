"""Sizes and seeds of the embedded world; the numbers are in ``conf/world/*.yaml``."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from safelab.options import Options

Positive = Annotated[int, Field(ge=1)]


Share = Annotated[float, Field(ge=0, le=1)]


class TaskOptions(Options):
    """Tasks over ``shortest`` to ``longest`` digits, and how well the policy does them; see ``tasks``.

    ``held_out``: share of all prompts that nothing in the world is made from. ``taught_share``: of the texts that the
    policy learns from, those that come first and hold right answers only. In the others a digit is right with chance
    ``right_share``, the prompt's own at that place with ``copied_share``, else any.
    """

    shortest: Positive
    longest: Positive
    held_out: Annotated[float, Field(gt=0, lt=1)]
    taught_share: Share
    right_share: Share
    copied_share: Share

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest must be at most longest, got {self.shortest} and {self.longest}")
        if self.right_share + self.copied_share > 1:
            raise ValueError(
                f"right_share + copied_share must be at most 1, got {self.right_share} + {self.copied_share}"
            )
        return self


class LanguageModelOptions(Options):
    """A Llama-style model: ``layers`` of ``width`` with ``heads``, trained for ``steps`` of ``batch_size`` texts.

    ``mlp_width``: hidden units of each feed-forward block. ``warmup_steps``: of the learning rate, which then falls
    to zero in a straight line. ``max_new_tokens``: of a sampled response, its end token included.
    """

    width: Positive
    layers: Positive
    heads: Positive
    mlp_width: Positive
    steps: Positive
    batch_size: Positive
    lr: Annotated[float, Field(gt=0)]
    warmup_steps: Annotated[int, Field(ge=0)]
    max_new_tokens: Positive

    @model_validator(mode="after")
    def _rotary_width(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 x heads, got width={self.width}, heads={self.heads}")
        return self


class WorldRewardModelOptions(Options):
    """``pairs`` of responses, labelled by the gold score, ``label_noise`` of the labels turned round.

    ``held_out``: further pairs with clean labels, on which the accuracy is measured.
    """

    pairs: Positive
    held_out: Positive
    label_noise: Annotated[float, Field(ge=0, lt=0.5)]
    epochs: Positive
    batch_size: Positive
    lr: Annotated[float, Field(gt=0)]


class ValueModelOptions(Options):
    """How the value model learns from the reward model's pairs; ``batch_size`` counts responses."""

    epochs: Positive
    batch_size: Positive
    lr: Annotated[float, Field(gt=0)]


class WorldOptions(Options):
    """``seed`` makes the policy; reward model and value model have a seed of their own besides, the run's.

    ``tasks``: what is written in this world; left out, it is product reviews.
    """

    seed: Annotated[int, Field(ge=0)]
    language_model: LanguageModelOptions
    reward_model: WorldRewardModelOptions
    value_model: ValueModelOptions
    tasks: TaskOptions | None = None
