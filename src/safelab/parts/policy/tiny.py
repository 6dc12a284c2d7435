"""The embedded default: a small Llama-style model that the project trains by itself on product reviews."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.parts.policy.causal_lm import Attention, CausalPolicy, LoadOptions, load
from safelab.world.artifacts import ensure_language_model
from safelab.world.options import WorldOptions


class Options(BaseOptions):
    """``world``: how the embedded world is made, ``${world}`` in the configuration."""

    name: str
    world: WorldOptions
    dtype: Literal["float32", "bfloat16"]
    attention: Attention
    gradient_checkpointing: bool
    max_prompt_tokens: Annotated[int, Field(ge=1)]
    sampling_temperature: Annotated[float, Field(gt=0)]
    adapter: Mapping[str, Any]


def build(options: Options, context: Context) -> CausalPolicy:
    """The world's language model, made on first use and cached."""
    path = ensure_language_model(options.world, context.cache, context.progress)
    # Reviews are no chats, and a model this small is not worth compiling.
    own = options.model_dump(include=set(LoadOptions.model_fields))
    kept = LoadOptions.model_validate({**own, "prompt_template": "plain", "compile": False})
    return load(str(path), kept, context)
