"""What every sampler's options share."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from safelab.contracts import Part


class Sampling(Part):
    """``batch_size``: responses per update. ``sampling_temperature``: the policy scores with it too.

    ``samples_per_prompt``: responses to each prompt. ``staleness``: updates by which the writing policy lags.
    ``dynamic_sampling``: the most further rollouts of an update, in place of groups whose rewards are all equal.
    """

    batch_size: Annotated[int, Field(ge=2)]
    samples_per_prompt: Annotated[int, Field(ge=1)]
    staleness: Annotated[int, Field(ge=0)]
    dynamic_sampling: Annotated[int, Field(ge=0)]
    max_new_tokens: Annotated[int, Field(ge=1)]
    sampling_temperature: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch_size % self.samples_per_prompt:
            raise ValueError(
                "must have a batch_size that is a multiple of samples_per_prompt, "
                f"got {self.batch_size} and {self.samples_per_prompt}"
            )
        return self
