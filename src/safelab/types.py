"""The values that pass between the stages of an update. Each stage returns a new one and edits none.

Axes: ``b`` sequences, ``p`` prompt tokens (padded on the left), ``t`` response tokens (padded on the right),
``v`` values of the critic per sequence (``1`` if it gives one a sequence, ``t`` if one a token), ``h`` heads,
``d`` hidden width. Masks: True counts. Names end with their grain: ``_tok`` [b, t], ``_seq`` [b].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Grain = Literal["sequence", "token"]

Link = Literal["logistic", "probit"]
"""How a difference of scores becomes the probability of a vote: 1 / (1 + exp(-x)), or the normal distribution's."""

LARGE = ("hidden_ref", "logp_vocab_old")
"""Tensors of a rollout that are far larger than the rest: each rank keeps those of its own rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One preference as text: a prompt and two answers to it, the better one first as far as the label is right.

    ``chosen_ended``, ``rejected_ended``: whether the answer gave its end token. One that was cut has none to learn.
    """

    prompt: str
    chosen: str
    rejected: str
    chosen_ended: bool = True
    rejected_ended: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBatch:
    """Prompts as text and as tokens, padded on the left; the texts are those that reward and evaluator judge by.

    ``group_seq`` numbers the prompt of each row: responses with one number answer the same prompt. ``columns``: what
    the data says of each row's prompt besides, as far as reward or evaluator read it; values of JSON.
    """

    texts: tuple[str, ...]
    ids: Int[Tensor, "b p"]
    mask: Bool[Tensor, "b p"]
    group_seq: Int[Tensor, "b"]
    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def rows(self, index: slice) -> "PromptBatch":
        """The prompts at ``index``, in that order, as wide as all of them."""
        return PromptBatch(
            texts=self.texts[index],
            ids=self.ids[index],
            mask=self.mask[index],
            group_seq=self.group_seq[index],
            columns={name: values[index] for name, values in self.columns.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy:
    """What the policy writes to each prompt when it takes the likeliest token every time: a baseline's material."""

    responses: tuple[str, ...]
    ended_seq: Bool[Tensor, "b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What the policy wrote. The end token belongs to the response, and ``mask`` is True up to and with it.

    ``logp_rollout_tok``: log-probability of each token under the policy that sampled it, in nats, where that is not
    the policy about to be trained (stale rollouts, another engine); None: the scoring pass gives it. ``written``: the
    update at whose beginning a stale one was written; None where that is the one that trains on it.
    """

    prompts: PromptBatch
    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    ended_seq: Bool[Tensor, "b"]
    responses: tuple[str, ...]
    logp_rollout_tok: Float[Tensor, "b t"] | None = None
    greedy: Greedy | None = None
    written: int | None = None

    @property
    def length_seq(self) -> Int[Tensor, "b"]:
        """Response tokens per sequence, the end token included."""
        return self.mask.sum(dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A rollout with its rewards, and with the held-out score where there is one."""

    rollout: Rollout
    reward_seq: Float[Tensor, "b"]
    gold_seq: Float[Tensor, "b"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStats:
    """What one forward pass says of the response tokens, in nats.

    ``logp_tok``: log-probability of each sampled token. ``entropy_tok``: of the full next-token distribution.
    ``kl_exact_tok``: sum over the vocabulary of p (log p - log p_ref); ``logp_ref_tok``: the reference's
    log-probability of the same token, without gradient. Both are None where no reference was given.
    """

    logp_tok: Float[Tensor, "b t"]
    entropy_tok: Float[Tensor, "b t"]
    kl_exact_tok: Float[Tensor, "b t"] | None = None
    logp_ref_tok: Float[Tensor, "b t"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The policy's forward pass over a rollout, with its graph: hidden states, and what they say of the tokens."""

    hidden: Float[Tensor, "b t1 d"]
    stats: TokenStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A rollout with everything measured on it before the update; nothing here carries gradient.

    ``reward_seq`` is the reward model's score, ``gold_seq`` a held-out score that no stage optimises.
    ``hidden_ref`` are the reference's last hidden states, from which its whole distribution is recomputed.
    Three policies score the tokens: ``logp_rollout_tok`` the one that sampled them, ``logp_old_tok`` the one before
    this update, ``logp_ref_tok`` the reference. The first two are one tensor where the rollout is fresh.
    ``logit_gradient_tok``: ``1 - 2 p + sum_v p_v^2`` of the policy before this update, where the advantage needs it.
    ``logp_vocab_old``: its whole distributions, where the objective needs them. Of these and ``hidden_ref``, which are
    large, each rank of a run holds its own rows only.

    Where a second reference moves, ``logp_moving_tok`` and ``kl_moving_tok`` (exact) are to it, and ``hidden_ref`` is
    its own; ``for_training`` has it in the frozen one's place. ``ids_topk``, ``logp_ref_topk``: the likeliest tokens
    before this update, and what the reference that training is held to gives them, where the KL's route reads those;
    ``mass_topk_tok``: the probability that they have together.
    """

    rollout: Rollout
    reward_seq: Float[Tensor, "b"]
    gold_seq: Float[Tensor, "b"] | None
    logp_rollout_tok: Float[Tensor, "b t"]
    logp_old_tok: Float[Tensor, "b t"]
    logp_ref_tok: Float[Tensor, "b t"]
    entropy_old_tok: Float[Tensor, "b t"]
    kl_exact_tok: Float[Tensor, "b t"]
    hidden_ref: Float[Tensor, "held t d"]
    heads_old: Float[Tensor, "b v h"]
    bootstrap_heads: Float[Tensor, "b v h"]
    logit_gradient_tok: Float[Tensor, "b t"] | None = None
    logp_vocab_old: Float[Tensor, "held t vocab"] | None = None
    logp_moving_tok: Float[Tensor, "b t"] | None = None
    kl_moving_tok: Float[Tensor, "b t"] | None = None
    ids_topk: Int[Tensor, "b t k"] | None = None
    logp_ref_topk: Float[Tensor, "b t k"] | None = None
    mass_topk_tok: Float[Tensor, "b t"] | None = None

    @property
    def for_training(self) -> "Scored":
        """What controller and losses see: the KL to the moving reference where there is one."""
        if self.logp_moving_tok is None or self.kl_moving_tok is None:
            return self
        return replace(self, logp_ref_tok=self.logp_moving_tok, kl_exact_tok=self.kl_moving_tok)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """The tokens that were likeliest before an update, at each place, and what is said of them now; in nats.

    ``logp``: by the policy that is trained, with its graph. ``logp_ref``: by the reference. ``inside_tok``: whether the
    sampled token is among them.
    """

    logp: Float[Tensor, "b t k"]
    logp_ref: Float[Tensor, "b t k"]
    inside_tok: Bool[Tensor, "b t"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What a controller sees of one update.

    ``reward_mean``: batch mean of the raw reward. KL to the reference: ``kl_ref_token_*`` in nats per response
    token, ``kl_ref_seq_k1`` in nats per response. ``entropy_token``: nats per response token.
    """

    reward_mean: float
    kl_ref_token_k1: float
    entropy_token: float
    kl_ref_token_exact: float | None = None
    kl_ref_seq_k1: float | None = None
    n_sequences: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a controller decides for one update; read-only while it lasts.

    ``penalty`` is the value of the KL penalty at the measured KL, ``kl_coef`` its slope there: what multiplies
    the KL (in nats per token) in the loss or in the reward. ``active``: whether the penalty is above zero.
    """

    kl_coef: float
    penalty: float
    threshold: float
    gate: float
    phase: str
    active: bool
    kl_short: float
    kl_long: float
    momentum: float
    momentum_penalty: float
    asymmetric_penalty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBatch:
    """One update's training data, flat over sequences: the only thing that is cut into minibatches.

    ``weight_tok``: multiplies the objective's loss of a token, where a correction says so; ``corrected_tok``: where it
    bounds the ratio. Both are None where nothing is to correct. ``logp_ref_tok``, ``hidden_ref``, ``logp_ref_topk``: of
    the reference that training is held to. ``hidden_ref`` and ``logp_vocab_old`` hold the rows
    from ``held_from`` on: on several ranks those of this rank, unless minibatches mix the rows of all.
    ``advantage_metrics``: what the advantage says of all rows, for the log.
    """

    prompt_ids: Int[Tensor, "b p"]
    prompt_mask: Bool[Tensor, "b p"]
    group_seq: Int[Tensor, "b"]
    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    logp_rollout_tok: Float[Tensor, "b t"]
    logp_old_tok: Float[Tensor, "b t"]
    logp_ref_tok: Float[Tensor, "b t"]
    hidden_ref: Float[Tensor, "held t d"]
    advantage_tok: Float[Tensor, "b t"]
    heads_old: Float[Tensor, "b v h"]
    returns: Float[Tensor, "b v"]
    value_mask: Bool[Tensor, "b v"]
    logp_vocab_old: Float[Tensor, "held t vocab"] | None = None
    weight_tok: Float[Tensor, "b t"] | None = None
    corrected_tok: Bool[Tensor, "b t"] | None = None
    ids_topk: Int[Tensor, "b t k"] | None = None
    logp_ref_topk: Float[Tensor, "b t k"] | None = None
    held_from: int = 0
    advantage_metrics: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)

    @property
    def advantage_seq(self) -> Float[Tensor, "b"]:
        """One advantage per response, where the run gives all its tokens the same: that of its first token."""
        return self.advantage_tok[:, 0]

    def rows(self, index: Int[Tensor, "n"] | slice) -> "TrainBatch":
        """The sequences at ``index``, in that order."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors = {name: value for name, value in held.items() if isinstance(value, Tensor)}
        at = index
        if self.held_from > 0:
            # Others would be the rows of another rank, which are not here: a negative number would find wrong ones.
            assert isinstance(index, slice)
            assert index.start >= self.held_from
            at = slice(index.start - self.held_from, index.stop - self.held_from)
        chosen: dict[str, Any] = {name: tensor[at if name in LARGE else index] for name, tensor in tensors.items()}
        return replace(self, **chosen, held_from=0)

    def __len__(self) -> int:
        return int(self.ids.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the sums of a minibatch are divided by, so that accumulation changes no number."""

    sequences: int
    tokens: int
    columns: int
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """What the policy that is being trained says of a minibatch's response tokens, with its graph; in nats.

    ``logp_vocab``: the whole distributions, where the objective needs them. ``seed``: of what the objective draws.
    ``logit_tok``: the sampled tokens' logits before any normalisation, likewise.
    """

    logp_tok: Float[Tensor, "b t"]
    logp_vocab: Float[Tensor, "b t vocab"] | None
    seed: int
    logit_tok: Float[Tensor, "b t"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLoss:
    """An objective's answer, token by token; what stands on padding has no influence.

    ``loss_tok``: minimised, not yet averaged (that is the aggregation's). ``clipped_tok``: where a bound stops the
    gradient of a token; None where nothing does. For the log, over an update's passes: ``metrics_tok``, ``metrics_seq``
    means over response tokens, or responses, as ``objective/<name>``; ``greatest_tok`` the most, as ``..._max``.
    """

    loss_tok: Float[Tensor, "b t"]
    clipped_tok: Bool[Tensor, "b t"] | None = None
    metrics_tok: dict[str, Float[Tensor, "b t"]] = field(default_factory=dict)
    metrics_seq: dict[str, Float[Tensor, "b"]] = field(default_factory=dict)
    greatest_tok: dict[str, Float[Tensor, "b t"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """One update's pairs. Axis ``a`` holds the two answers, the chosen one first.

    ``logp_ref``: log pi_ref(y | x) summed over an answer's tokens, in nats. ``reward``: the run's reward of each
    answer; ``weight``: what its log-probability counts in the loss. ``bucket``: of ``maths.triage``; ``influence``:
    what the pair's own loss counts; ``hold``: what a nat of KL to the reference counts on its tokens, 0 where it is
    not held there. All of them are None where the loss asks for none.
    """

    prompt_ids: Int[Tensor, "b p"]
    prompt_mask: Bool[Tensor, "b p"]
    ids: Int[Tensor, "b a t"]
    mask: Bool[Tensor, "b a t"]
    logp_ref: Float[Tensor, "b a"]
    reward: Float[Tensor, "b a"] | None = None
    weight: Float[Tensor, "b a"] | None = None
    bucket: Int[Tensor, "b"] | None = None
    influence: Float[Tensor, "b"] | None = None
    hold: Float[Tensor, "b"] | None = None

    def rows(self, index: "slice | Int[Tensor, 'n']") -> "PairBatch":
        """The pairs at ``index``, in that order."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[index] for name, value in held.items() if value is not None})

    def __len__(self) -> int:
        return int(self.ids.shape[0])


def flat_sequences(
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    ids: Int[Tensor, "b t"],
    mask: Bool[Tensor, "b t"],
) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
    """Prompt and response side by side, as the model reads them: ids and attention mask, s = p + t."""
    return torch.cat([prompt_ids, ids], dim=1), torch.cat([prompt_mask, mask], dim=1)
