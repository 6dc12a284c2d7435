"""LCO with a dense target: a frozen language model, the verifier, judges several tokens at each place.

    S = the old policy's K likeliest tokens,   A(v) = (log q(v) - mean_S log q) / std_S log q,   q the verifier
    pi*(v) = pi_old(v) exp(A(v) / beta) / Z for v in S, 0 elsewhere;    loss_t = KL(pi* || pi)

Reward and advantage are not read: what the policy learns of preferences is in the verifier. pi* has nothing outside S,
so that the policy's tail is drawn in at every update, even where the verifier agrees with it.
Ref: arXiv 2603.00963; the form is that of github homzer/llama-rlhf, by its first author as it seems, ``fkl``.
"""

from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from jaxtyping import Float
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from safelab.contracts import Context, Need, StatelessObjective
from safelab.errors import ConfigError
from safelab.maths.logits import dense_optimal_logp
from safelab.options import PathOrHub, State
from safelab.parts.objective._verifier import load_verifier
from safelab.types import Current, PolicyLoss, TrainBatch


@runtime_checkable
class ScoresTokens(Protocol):
    """What the objective asks of the verifier."""

    def log_probs(self, batch: TrainBatch) -> Float[Tensor, "b t vocab"]:
        """Log-probabilities of every token at the place of each response token."""


class LogitsConvexDense(StatelessObjective):
    """``path``: the verifier, a language model with the policy's tokenizer. ``dtype``: of its weights. ``top_k``: K.

    ``beta``: in deviations of the verifier's log-probabilities. ``anchor`` must be ``old``, as the target starts there.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"old_logp", "full_logits", "unread_advantage"})
    pushes_down: ClassVar[bool] = False  # it reads no advantage

    path: PathOrHub | None
    dtype: Literal["float32", "bfloat16"]
    top_k: Annotated[int, Field(ge=2)]
    beta: Annotated[float, Field(gt=0)]
    _verifier: ScoresTokens = PrivateAttr()

    @model_validator(mode="after")
    def _starts_from_old(self) -> "LogitsConvexDense":
        if self.anchor != "old":
            raise ValueError(f"must have anchor=old, got {self.anchor}: whole distributions are kept of no other")
        if self.path is None:
            raise ValueError("must have a path, got null: give a language model that judges tokens, objective.path=DIR")
        return self

    def build(self, context: Context) -> "LogitsConvexDense":
        """The objective with its verifier.

        Raises:
            ConfigError: no language model of the policy's tokens at ``path``.
        """
        return self.reading(load_verifier(str(self.path), self.dtype, context))

    def reading(self, verifier: ScoresTokens) -> "LogitsConvexDense":
        """The same, with the model that judges."""
        made = self.model_copy()
        made._verifier = verifier
        return made

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token's place, whichever token was sampled there."""
        assert current.logp_vocab is not None
        assert batch.logp_vocab_old is not None
        judged, vocabulary = self._verifier.log_probs(batch), batch.logp_vocab_old.shape[-1]
        if judged.shape[-1] != vocabulary:
            raise ConfigError(
                f"objective.path must be a model with as many logits as the policy, {vocabulary}, got one with "
                f"{judged.shape[-1]}: give one that was trained from the policy"
            )
        old, support = batch.logp_vocab_old.topk(min(self.top_k, vocabulary), dim=-1)
        target = dense_optimal_logp(old, judged.gather(-1, support), self.beta)
        before = old.log_softmax(dim=-1)
        return PolicyLoss(
            loss_tok=(target.exp() * (target - current.logp_vocab.gather(-1, support))).sum(dim=-1),
            metrics_tok={
                "support_mass": old.exp().sum(dim=-1),
                "target_shift": 0.5 * (target.exp() - before.exp()).abs().sum(dim=-1),
            },
        )
