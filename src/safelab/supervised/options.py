"""What ``safelab sft``, ``reward-model`` and ``value-model`` are asked for; the numbers are in their YAMLs."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from safelab.corpus.dialogue import Template
from safelab.options import Options, PathOrHub
from safelab.pretrained.lora import LoraOptions


def _none_is_none(value: Any) -> Any:
    return None if value == {"name": "none"} else value


class PairOptions(Options):
    """``path``: a file, or a data set of the hub with ``subset`` and ``split``; see ``data=hh_rlhf``.

    ``limit``: only the first records, null for all. ``held_out``: of these the last ones are measured on.
    ``learn_from``: of the others only the first, null for all; so a part of the data is measured on the same pairs.
    ``skip_unfit``: pairs whose prompt the model cannot read are left out and counted, in place of refused.
    """

    path: PathOrHub
    subset: str
    split: Literal["train", "test"]
    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=2)]
    learn_from: Annotated[int, Field(ge=1)] | None
    skip_unfit: bool


class SupervisedOptions(Options):
    """``model``: where from. ``output``: where to. Batches count pairs.

    ``micro_batch_size``, ``micro_batch_tokens``: at most so many pairs, and so many of their tokens, go through the
    model together (a pair with more tokens goes alone); null for no bound. They change memory and time, not numbers.

    ``packing``: whether passes leave padding out where the model can be read so; it changes time and memory only.
    ``template``: how prompt and answer become the text that is read; see ``corpus.dialogue``. ``adapter``: LoRA, or
    None where every weight learns.
    """

    model: PathOrHub
    output: str
    seed: Annotated[int, Field(ge=0)]
    device: str
    threads: Annotated[int, Field(ge=1)]
    pairs: PairOptions
    template: Template
    adapter: Annotated[LoraOptions | None, BeforeValidator(_none_is_none)]
    dtype: Literal["float32", "bfloat16"]
    packing: Literal["auto", "none"]
    gradient_checkpointing: bool
    max_tokens: Annotated[int, Field(ge=2)]
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    micro_batch_size: Annotated[int, Field(ge=1)] | None
    micro_batch_tokens: Annotated[int, Field(ge=1)] | None


class LabelOptions(Options):
    """``path``: a reward model whose preference replaces the data's, null for none. ``noise``: see ``labels``."""

    path: PathOrHub | None
    noise: Annotated[float, Field(ge=0, le=0.5)]


class RewardModelOptions(SupervisedOptions):
    """``labels``: who says which answer is the better one."""

    labels: LabelOptions
