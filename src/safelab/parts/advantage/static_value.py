"""DVPO: a value model that was trained beforehand and is frozen, in place of a critic; the reward's score is not used.

    static_value    A_t = Q_t + k_t,   Q_t = V after token t, the value of having written it
    whitened_gae    A_t = sum_{s>=t} l^(s-t) (k_s + W_{s+1} - W_s),   W = V before each token, whitened, 0 after the end

k_t is the KL penalty in the reward of token t; the discount is 1. ``static_value`` is the paper's A_t = Q_t; k_t is
added so that the penalty acts. ``whitened_gae`` is the authors' code, which is not the paper: without a score and at
k = 0 it is the mean of the values to come less W_t, and at l = 1 it is -W_t alone, which does not depend on token t, so
that its expected gradient is 0.

The reward model's score is logged and moves nothing: what the policy learns of preferences is in the value model.

Deviation: the authors' code whitens values over a forward pass's prompts and padding too; here over the batch's
response tokens, so that neither padding nor the cut into passes changes a number.
Ref: DVPO, arXiv 2502.16944, stage 2; authors' code microsoft/DKI_LLM, dvpo.
"""

from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from pydantic import Field, PrivateAttr
from torch import Tensor

from safelab.contracts import AdvantageEstimator, Advantages, Context, Evidence, Need
from safelab.errors import ConfigError
from safelab.maths.masked import masked_whiten
from safelab.maths.returns import gae
from safelab.options import PathOrHub
from safelab.parts.advantage._value_model import load_value_model
from safelab.types import Grain, Rollout
from safelab.world.artifacts import ensure_value_model
from safelab.world.options import WorldOptions


@runtime_checkable
class ReadsValues(Protocol):
    """What the estimator asks of the value model."""

    def values(self, rollout: Rollout) -> Float[Tensor, "b t1"]:
        """V at the prompt's end and after each response column."""


class StaticValue(AdvantageEstimator):
    """``mode``: see above. ``path``: what ``safelab value-model`` made; null: the embedded world's own value model.

    ``world``, ``seed``: of that one. ``whiten``: the advantages, over the batch's response tokens. ``trace_decay``: l.
    ``micro_batch_size``: responses per forward pass; it changes memory, not numbers.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"no_values", "unread_reward"})
    grain: ClassVar[Grain] = "token"

    mode: Literal["static_value", "whitened_gae"]
    path: PathOrHub | None
    world: WorldOptions
    seed: Annotated[int, Field(ge=0)]
    dtype: Literal["float32", "bfloat16"]
    whiten: bool
    trace_decay: Annotated[float, Field(ge=0, le=1)]
    micro_batch_size: Annotated[int, Field(ge=1)] | None
    _model: ReadsValues = PrivateAttr()

    def build(self, context: Context) -> "StaticValue":
        """The estimator with its value model, which the embedded world makes on first use.

        Raises:
            ConfigError: no value model of the policy's tokens at ``path``.
        """
        path = self.path or self._embedded(context)
        # The embedded world's is read padded: its rows are nearly even, and published numbers stay to the bit.
        packing = self.path is not None
        return self.reading(load_value_model(path, self.dtype, self.micro_batch_size, context, packing=packing))

    def reading(self, model: ReadsValues) -> "StaticValue":
        """The same, with the model whose values it reads."""
        made = self.model_copy()
        made._model = model
        return made

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_t of every token, 0 on padding."""
        mask, penalty_tok = evidence.mask, evidence.token_reward_tok
        values = self._model.values(evidence.rollout)
        if self.mode == "static_value":
            advantage_tok = torch.where(mask, values[:, 1:] + penalty_tok, 0.0)
        else:
            before_tok = masked_whiten(values[:, :-1], mask)
            advantage_tok, _ = gae(penalty_tok, before_tok, mask, discount=1.0, trace_decay=self.trace_decay)
        if self.whiten:
            advantage_tok = masked_whiten(advantage_tok, mask)
        return Advantages(advantage_tok=advantage_tok, returns=None)

    def _embedded(self, context: Context) -> str:
        """Where the embedded world's value model lies.

        Raises:
            ConfigError: the policy is not the embedded world's.
        """
        assert context.policy is not None
        from safelab.world.languages import language_of
        from safelab.world.tokenizer import build_tokenizer

        if build_tokenizer(language_of(self.world).words()).get_vocab() != context.policy.vocabulary():
            raise ConfigError(
                "advantage.path must be given with a policy that is not the embedded world's, got null: "
                "make a value model from that policy, safelab value-model model=POLICY output=DIR"
            )
        return str(ensure_value_model(self.world, self.seed, context.cache, context.progress))
