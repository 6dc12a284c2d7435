"""A value network of its own, which starts from a reward model and trains in all its weights.

    V(s_i) = w . h_i        h_i: its last hidden state at the token before response token i; w: its score head

Of a response of n tokens these are n values: at the prompt's last token, and at each response token but the last. At
the start V is what the reward model says of a text that ends there, in its own units; nothing scales it.

The network reads the policy's tokens, so it must have the policy's tokenizer. Its states come from passes of its own
without padding, so that no value depends on what else is in the batch.
Ref: Stiennon et al. 2020, arXiv 2009.01325, section 3.4; Huang et al. 2024, arXiv 2403.17031; TRL's PPOTrainer,
``value_model``.
"""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import model_validator
from torch import Tensor, nn

from safelab.contracts import Context, Critic
from safelab.errors import ConfigError
from safelab.options import PathOrHub
from safelab.parts.critic._value_loss import ValueLossOptions
from safelab.pretrained.adapters import classifier, with_tokenizer
from safelab.pretrained.heads import backbone
from safelab.pretrained.limits import positions_of
from safelab.pretrained.load import Source, tokenizer_of
from safelab.pretrained.ragged.layout import layout_of
from safelab.pretrained.ragged.row_states import RowReader
from safelab.pretrained.ragged.stream import states_of_rows
from safelab.pretrained.ragged.ways import looks_back, reader_of
from safelab.pretrained.vocabulary import check_vocabulary
from safelab.pretrained.whole import check_rows
from safelab.types import Grain, flat_sequences

REMEDY = "give a reward model that was trained from the policy, as safelab reward-model model=POLICY output=DIR"


class ValueModel(ValueLossOptions):
    """``path``: a directory or hub name of a sequence classifier with one label. ``dtype``: of its weights."""

    grain: ClassVar[Grain] = "token"

    path: PathOrHub | None
    dtype: Literal["float32", "bfloat16"]

    @model_validator(mode="after")
    def _starts_somewhere(self) -> "ValueModel":
        if self.path is None:
            raise ValueError(
                "must have a path where the reward has none, got null: give a sequence classifier with one label and "
                "the policy's tokenizer, critic.path=DIR"
            )
        return self

    def build(self, context: Context) -> Critic:
        """The network; nothing is trained if it does not load.

        Raises:
            ConfigError: nothing loadable there, more or fewer labels than one, weights that are missing, a tokenizer
                that is not the policy's, or a model that is not causal or has more than a linear head.
        """
        if context.policy is None:
            raise ConfigError("critic must be built after the policy, whose tokens it reads")
        return ValueNetwork(self, load(str(self.path), self.dtype, context))


def load(path: str, dtype: str, context: Context) -> RowReader:
    """The classifier at ``path``, and how its values are read without padding.

    Raises:
        ConfigError: see ``ValueModel.build``.
    """
    from transformers import AutoModelForSequenceClassification

    source = Source("critic.path", path, "of a sequence classifier", "give a trained one")
    tokenizer = tokenizer_of(with_tokenizer(source))
    module, _ = classifier(AutoModelForSequenceClassification, source, dtype=getattr(torch, dtype))
    if module.config.num_labels != 1:
        raise ConfigError(f"critic.path must have one label, got {path!r} with {module.config.num_labels}: {REMEDY}")
    assert context.policy is not None
    check_vocabulary("critic.path", path, tokenizer, context.policy.vocabulary(), REMEDY)
    check_rows("critic.path", path, module, tokenizer)
    # eval() for good, as the policy: with dropout the values before an update would not be those that it clips to.
    module = module.to(context.device).eval().requires_grad_(True)
    reader = reader_of(module, tokenizer)
    if reader is None or not looks_back(module, tokenizer):
        raise ConfigError(
            f"critic.path must be a causal model whose score is a linear map of its last hidden states, got {path!r}, "
            f"a {type(module).__name__} that is read otherwise: {REMEDY}"
        )
    return reader


class ValueNetwork(Critic):
    """One value before each response token; ``reader``: the network and how it reads rows of tokens."""

    def __init__(self, options: ValueModel, reader: RowReader) -> None:
        self.module: nn.Module = reader.module
        self.target: nn.Module | None = None
        self.grain: Grain | None = "token"
        self.coef = options.coef
        self.warmup_updates = options.warmup_updates
        self.positions = positions_of(reader.module.config)
        self._options = options
        self._reader = reader

    def states(
        self,
        hidden: Float[Tensor, "b t1 d"],
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t1 d_v"]:
        """The network's own last hidden states; the policy's are not read."""
        module: Any = self.module
        way = self._reader.way
        sequence_ids, _ = flat_sequences(prompt_ids, prompt_mask, ids, mask)
        layout = layout_of(prompt_ids, prompt_mask, mask, share=way == "stream")
        return states_of_rows(backbone(module), sequence_ids, layout, way, module.dtype)

    def heads(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """The score of the state before each response token, in float32."""
        values: Tensor = self._reader.head(hidden[:, :-1]).float()
        return values

    @torch.no_grad()
    def bootstrap(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """The same: there is no target."""
        return self.heads(hidden, mask)

    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """The value of the single head."""
        return heads[..., 0]

    def loss(
        self, heads: Float[Tensor, "b v h"], heads_old: Float[Tensor, "b v h"], returns: Float[Tensor, "b v"]
    ) -> Float[Tensor, "b v"]:
        """Of each value, see ``maths.surrogate.value_loss``."""
        return self._options.loss(self.combine(heads), self.combine(heads_old), returns)

    def after_step(self) -> None:
        """There is no target to move."""
