"""The architecture on one page: what each group of the configuration must offer.

Every option is a module ``safelab/<group>/<name>.py`` with a class ``Options`` (its validated parameters) and a
function ``build(options, context)`` that returns an object of the group's Protocol. A user's own component is named
``package.module:Class``, where the class has ``Options`` and is called with the same two arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from safelab.options import State
from safelab.types import (
    Counts,
    Current,
    Grain,
    Greedy,
    Pair,
    PairBatch,
    Plan,
    PolicyLoss,
    PromptBatch,
    Rollout,
    Signals,
    TokenStats,
    TrainBatch,
)

Need = Literal[
    "values_per_sequence", "values_per_token", "no_values", "groups", "greedy", "raw_reward", "unread_reward",
    "sequence_advantage",
    "rollout_logp", "old_logp", "reference", "full_logits", "whole_minibatch", "whole_groups", "sequence_mean",
]  # fmt: skip
"""What an option may ask of the others. Its module says so in ``NEEDS``, and a run that lacks it is refused.

``values_*``: what the critic gives. ``groups``: several responses per prompt. ``greedy``: a greedy response per prompt.
``raw_reward``: rewards that no shaping touched; ``unread_reward``: the same, as nothing reads them.
``sequence_advantage``: one advantage per response. ``*_logp``, ``reference``: who scores the tokens. ``full_logits``:
distributions over the whole vocabulary. ``whole_minibatch``: it is not cut for accumulation; ``whole_groups``: nor is
the batch cut into minibatches. ``sequence_mean``: the aggregation that it presumes.
"""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a component may know of its surroundings when it is built.

    ``seed`` is the run's; ``cache`` holds what the project makes for itself (the embedded world);
    ``progress(text)`` tells the user what a slow build is doing. ``policy`` is set once that is built.
    """

    seed: int
    device: torch.device
    cache: Path
    progress: Callable[[str], None] = field(default=lambda text: None)
    policy: "Policy | None" = None


class PromptSource(Protocol):
    """``data``: an endless, seeded sequence of prompts; the cursor is all its state."""

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""


class CausalModel(Protocol):
    """A language model seen through its hidden states; the same code reads policy and reference."""

    def hidden(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t1 d"]:
        """Last hidden states from the last prompt token to the last response column: t + 1 of them.

        Column i predicts response token i; column 0 has seen the prompt only.
        """

    def token_stats(
        self,
        hidden: Float[Tensor, "b t d"],
        ids: Int[Tensor, "b t"],
        reference: "tuple[CausalModel, Float[Tensor, 'b t d']] | None" = None,
    ) -> TokenStats:
        """Log-probability, entropy and (given a reference) exact KL of each response token, in float32."""

    def log_probs(self, hidden: Float[Tensor, "b t d"]) -> Float[Tensor, "b t vocab"]:
        """Next-token log-probabilities at the sampling temperature, in float32."""


Decoding = Literal["dynamic", "static", "compiled"]
"""The key-value cache of sampling: it grows, or has a fixed size, or that and a compiled step."""


class Policy(Protocol):
    """``policy``: the model that is trained, its tokenizer and its frozen reference."""

    module: nn.Module
    model: CausalModel
    reference: CausalModel
    hidden_size: int

    def encode(self, texts: Sequence[str], groups: Sequence[int]) -> PromptBatch:
        """Prompts as tokens, padded on the left."""

    def encode_responses(
        self, texts: Sequence[str], ended: Sequence[bool], max_tokens: int | None
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Responses as tokens, padded on the right, and their mask, in the form of ``generate``.

        The end token follows where ``ended``; a response longer than ``max_tokens`` loses its end.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut."""

    def vocabulary(self) -> Mapping[str, int]:
        """Number of each token, special ones included."""

    def decode(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> tuple[str, ...]:
        """Response text without special tokens."""

    def generate(
        self, prompts: PromptBatch, max_new_tokens: int, *, greedy: bool = False, decoding: Decoding = "dynamic"
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Response tokens, padded on the right, and their mask: True up to and with the end token.

        Sampled, or with ``greedy`` the likeliest token every time. ``decoding`` changes time and memory only.
        """

    def ended(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Bool[Tensor, "b"]:
        """Whether each response gave its end token."""

    def save(self, directory: Path) -> None:
        """Weights and tokenizer in the layout that ``transformers`` loads."""

    def restore(self, directory: Path) -> None:
        """The weights that ``save`` wrote, to the bit; the reference stays."""


class Sampler(Protocol):
    """``rollout``: turns prompts into responses.

    ``batch_size``: responses per update, ``samples_per_prompt`` of them to each prompt. ``staleness``: by how many
    updates the policy that writes lags behind the one that is trained.
    """

    batch_size: int
    samples_per_prompt: int
    staleness: int

    def rollout(self, policy: Policy, prompts: PromptBatch) -> Rollout:
        """One response per row, sampled from the distribution that is scored."""

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """One response per row, the likeliest token every time."""


class Reward(Protocol):
    """``reward``: what RL sees."""

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """One finite number per response. ``ended``: whether the response gave its end token."""


class Evaluator(Protocol):
    """``evaluator``: a score that is measured beside the reward and never optimised."""

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float] | None:
        """One number per response, or None where there is no such score."""


class PairSource(Protocol):
    """``pairs``: an endless, seeded sequence of preferences to learn from; offline runs only.

    ``batch_size``: pairs per update. ``evaluate_every``: updates between those in which the policy writes, to be
    measured. ``max_response_tokens``: longer answers lose their end, None for no bound.
    """

    batch_size: int
    evaluate_every: int
    max_response_tokens: int | None

    def pairs(self, cursor: int, count: int) -> list[Pair]:
        """The pairs number ``cursor`` to ``cursor + count - 1``."""


class Preference(Protocol):
    """``preference``: the loss on pairs, from log-probabilities of whole answers; offline runs only.

    ``needs_reward``: whether it reads ``PairBatch.reward``. Axis ``a``: the chosen answer, then the rejected one.
    """

    needs_reward: bool

    def weigh(self, batch: PairBatch) -> Float[Tensor, "b a"] | None:
        """``PairBatch.weight``, from the whole batch before it is cut; None where the loss has none."""

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """Loss of each pair (minimised), not yet averaged."""

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """The reward whose optimum the policy is, up to a constant of the prompt; log_ratio = logp - logp_ref."""

    def clipped_pair(self, log_ratio: Float[Tensor, "b a"]) -> Bool[Tensor, "b"]:
        """Where a bound of the loss stops a pair's gradient."""


class Normaliser(Protocol):
    """``shaping.normaliser``: brings raw rewards to the scale that the critic learns."""

    def init(self) -> State:
        """State before any reward was seen."""

    def step(self, state: State, reward_seq: Float[Tensor, "b"]) -> tuple[State, Float[Tensor, "b"]]:
        """Next state and the rewards as the update sees them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """Rewards as the update sees them, with what was clipped or charged, for the log."""

    reward_seq: Float[Tensor, "b"]
    metrics: Mapping[str, float]


class Shaping(Protocol):
    """``shaping``: charges (missing end, repetition), normalisation, clipping between reward and advantage."""

    def init(self) -> State:
        """State before any reward was seen."""

    def step(self, state: State, rollout: Rollout, reward_seq: Float[Tensor, "b"]) -> tuple[State, Shaped]:
        """Next state, and the rewards as the update sees them."""


class Critic(Protocol):
    """``critic``: value heads on the policy's hidden states. ``grain`` None: there are no values (v = 0)."""

    module: nn.Module
    target: nn.Module | None
    grain: Grain | None
    coef: float
    warmup_updates: int

    def heads(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """Each head's value, read where the option says."""

    def bootstrap(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """The same from the Polyak target, where the option keeps one: what a return bootstraps from."""

    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """The value that the advantage uses."""

    def loss(
        self, heads: Float[Tensor, "b v h"], heads_old: Float[Tensor, "b v h"], returns: Float[Tensor, "b v"]
    ) -> Float[Tensor, "b v"]:
        """Loss of each value, not yet averaged."""

    def after_step(self) -> None:
        """Called after each optimiser step: moves the target, where there is one."""


EntropyPositions = Literal["response", "all"]

Route = Literal["constant", "loss_exact", "loss_k1", "loss_k2", "loss_k3", "ratio_k1", "reward"]


class Controller(Protocol):
    """``controller``: decides threshold, gate and coefficient of the KL penalty. Pure: state in, state out."""

    route: Route
    step_every: Literal["rollout", "epoch"]
    preview_max_kl: float | None

    def init(self) -> State:
        """State before any signal."""

    def step(self, state: State, signals: Signals) -> State:
        """State after one more observation."""

    def plan(self, state: State) -> Plan:
        """What holds for the coming update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """Advantage of each response token, and what the critic is to learn; None for advantages without a critic."""

    advantage_tok: Float[Tensor, "b t"]
    returns: Float[Tensor, "b v"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an advantage is made from.

    ``reward_seq``: shaped; ``token_reward_tok``: a KL penalty in the reward, 0 on padding. ``greedy_reward_seq``: of
    the greedy responses, for those who need them.
    """

    rollout: Rollout
    reward_seq: Float[Tensor, "b"]
    token_reward_tok: Float[Tensor, "b t"]
    values: Float[Tensor, "b v"]
    bootstrap_values: Float[Tensor, "b v"]
    greedy_reward_seq: Float[Tensor, "b"] | None = None

    @property
    def mask(self) -> Bool[Tensor, "b t"]:
        """True for response tokens."""
        return self.rollout.mask

    @property
    def group_seq(self) -> Int[Tensor, "b"]:
        """The prompt's number of each response."""
        return self.rollout.prompts.group_seq

    @property
    def return_seq(self) -> Float[Tensor, "b"]:
        """Reward and KL penalty of a whole response."""
        return self.reward_seq + (self.token_reward_tok * self.mask).sum(dim=1)


class AdvantageEstimator(Protocol):
    """``advantage``: from rewards and values to advantages and returns. ``needs``: its module's ``NEEDS``.

    The module's ``GRAIN`` says whether all tokens of a response bear one advantage, or each its own.
    """

    needs: frozenset[Need]

    def estimate(self, evidence: Evidence) -> Advantages:
        """From one rollout to advantages, whitened if the option says so."""


class Objective(Protocol):
    """``objective``: the policy's loss, token by token. ``needs``: its module's ``NEEDS``."""

    needs: frozenset[Need]
    entropy_coef: float
    entropy_positions: EntropyPositions

    def init(self) -> State:
        """What it remembers before the first update: a dual variable, or nothing."""

    def step(self, state: State, seen: Mapping[str, float]) -> State:
        """After a pass over the batch, whose ``metrics_tok`` were on average ``seen``."""

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""


class Aggregation(Protocol):
    """``aggregation``: from a loss per token to the loss."""

    def reduce(self, loss_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], whole: Counts) -> Float[Tensor, ""]:
        """What this piece adds to the loss of its minibatch, which ``whole`` counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizers:
    """Both optimisers of a run; a critic without weights has none. A gradient norm limit of None limits nothing."""

    policy: torch.optim.Optimizer
    critic: torch.optim.Optimizer | None
    policy_max_grad_norm: float | None
    critic_max_grad_norm: float | None


class OptimizerFactory(Protocol):
    """``optimizer``: how often and how far an update moves the weights."""

    epochs: int
    minibatches: int
    micro_batch_size: int | None
    target_kl: float | None

    def make(self, policy: nn.Module, critic: nn.Module) -> Optimizers:
        """Fresh optimisers over the parameters that require a gradient."""


class Tracker(Protocol):
    """``tracker``: mirrors the run elsewhere; the run's own files are the truth."""

    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Called once before the first row."""

    def log(self, row: Mapping[str, Any]) -> None:
        """One row of ``metrics.jsonl``."""

    def finish(self, status: str) -> None:
        """Called once, whatever happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What a run does instead of ending: it goes back to its last checkpoint and goes on with other rates.

    ``lr_factor`` multiplies both learning rates, ``kl_coef_factor`` the KL penalty, at each rollback; after
    ``max_rollbacks`` of them the run ends.
    """

    max_rollbacks: int
    lr_factor: float
    kl_coef_factor: float


class Guard(Protocol):
    """``guard``: looks at each row and may stop the run, or have it go back where it has a ``remedy``."""

    remedy: Remedy | None

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """The reason to stop, or None to go on."""
