"""The language models of a run and who writes with them: ``policy``, ``rollout``."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from safelab.errors import ConfigError
from safelab.types import Greedy, PromptBatch, Rollout, TokenStats


@dataclass(slots=True)
class Tally:
    """Counts the positions that went through models, and how many of them held a token."""

    tokens: list[int | Tensor] = field(default_factory=list)
    positions: int = 0

    def add(self, tokens: int | Tensor, positions: int) -> None:
        """One more pass. A count that is still on a device is read when it is asked for."""
        self.tokens.append(tokens)
        self.positions += positions

    def take(self) -> tuple[int, int]:
        """Tokens and positions since the last time."""
        taken = int(sum(self.tokens)), self.positions
        self.tokens, self.positions = [], 0
        return taken


class CausalModel(ABC):
    """A language model seen through its hidden states; the same code reads policy and reference."""

    @abstractmethod
    def hidden(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t1 d"]:
        """Last hidden states from the last prompt token to the last response column: t + 1 of them.

        Column i predicts response token i; column 0 has seen the prompt only. What stands behind a response's last
        token may be anything finite, see ``Policy.keep_padding``.
        """

    @abstractmethod
    def token_stats(
        self,
        hidden: Float[Tensor, "b t d"],
        ids: Int[Tensor, "b t"],
        reference: "tuple[CausalModel, Float[Tensor, 'b t d']] | None" = None,
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> TokenStats:
        """Log-probability, entropy and (given a reference) exact KL of each response token, in float32.

        ``mask``: True for the tokens that are read; what the rest is told may be anything finite.
        """

    @abstractmethod
    def log_probs(self, hidden: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows vocab"]:
        """Next-token log-probabilities at the sampling temperature, in float32."""

    def log_probs_of(self, hidden: Float[Tensor, "*rows d"], ids: Int[Tensor, "*rows k"]) -> Float[Tensor, "*rows k"]:
        """Those of some tokens at each place."""
        return self.log_probs(hidden).gather(-1, ids)

    def likeliest(self, hidden: Float[Tensor, "*rows d"], count: int) -> Int[Tensor, "*rows k"]:
        """The ``count`` tokens of the greatest probability at each place, or all where there are fewer."""
        logp = self.log_probs(hidden)
        return logp.topk(min(count, logp.shape[-1]), dim=-1).indices

    def sampled_logit(self, hidden: Float[Tensor, "b t d"], ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
        """The head's logit of each token of ``ids``, neither normalised nor over a temperature, in float32."""
        raise NotImplementedError(f"{type(self).__name__} tells no raw logits")

    def logit_gradient(
        self, hidden: Float[Tensor, "b t d"], ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t"]:
        """``|d log p[id] / d z|^2 = 1 - 2 p[id] + sum_v p[v]^2`` of each token of ``ids``, in float32.

        p = softmax(z), z the logits over the sampling temperature. Without gradient; ``mask`` as in ``token_stats``.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no gradient in the logits")


Decoding = Literal["dynamic", "static", "captured", "compiled"]
"""The key-value cache of sampling: it grows, or has a fixed size; then a step may be a captured graph, or compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingReference:
    """A second reference, which follows the policy: ``model`` reads it, ``weights`` are its own, by name.

    ``policy``, ``start``: by the same names the weights that it follows, and those of the frozen reference.
    """

    model: CausalModel
    weights: Mapping[str, Tensor]
    policy: Mapping[str, Tensor]
    start: Mapping[str, Tensor]


class Policy(ABC):
    """``policy``: the model that is trained, its tokenizer and its frozen reference.

    ``ends``: the tokens that end a response. ``positions``: of the longest sequence, None for no limit.
    ``trained_at``: tokens that it was made for where it reads on beyond them, None if that is not known.
    ``unused_template``: whether its tokenizer has a chat template, and prompts are not written by it. ``tally``: of the
    positions that ``model`` and ``reference`` read; None for a policy that does not count. ``pad``: the token that
    ``generate`` leaves behind a response's end. ``sharded``: whether each rank holds only its part of the weights.
    ``moving``: what ``have_moving`` made; None where training is held to the frozen reference.
    """

    module: nn.Module
    model: CausalModel
    reference: CausalModel
    hidden_size: int
    ends: tuple[int, ...]
    positions: int | None = None
    trained_at: int | None = None
    unused_template: bool = False
    tally: Tally | None = None
    pad: int = 0
    sharded: bool = False
    moving: MovingReference | None = None

    def have_moving(self) -> None:
        """Have a second reference from now on, a copy of the policy as it is.

        Raises:
            ConfigError: this policy cannot.
        """
        raise ConfigError(
            f"controller/reference must be frozen with a policy of your own that has no have_moving, got moving for "
            f"{type(self).__name__}"
        )

    def keep_padding(self) -> None:  # noqa: B027 (most compute it anyway)
        """From now on compute what stands on padding too: a part of the run reads it, as the released code does."""

    @abstractmethod
    def encode(self, texts: Sequence[str], groups: Sequence[int]) -> PromptBatch:
        """Prompts as tokens, padded on the left."""

    @abstractmethod
    def encode_responses(
        self, prompts: Sequence[str], texts: Sequence[str], ended: Sequence[bool], max_tokens: int | None
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Responses to ``prompts`` as tokens, padded on the right, and their mask, in the form of ``generate``.

        Each as the policy would write it behind its prompt. The end token follows where ``ended``; a response
        longer than ``max_tokens`` loses its end.
        """

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut.

        Raises:
            DataError: the policy cannot read this prompt.
        """

    @abstractmethod
    def vocabulary(self) -> Mapping[str, int]:
        """Number of each token, special ones included."""

    @abstractmethod
    def decode(self, prompts: PromptBatch, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> tuple[str, ...]:
        """The text that each response adds to its prompt, without special tokens."""

    @abstractmethod
    def generate(
        self, prompts: PromptBatch, max_new_tokens: int, *, seeds: Sequence[int] | None, decoding: Decoding = "dynamic"
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Response tokens, padded on the right, and their mask: True up to and with the end token.

        Sampled with a seed of its own for each row, or without seeds the likeliest token every time. ``decoding``
        changes time and memory only.
        """

    @abstractmethod
    def ended(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Bool[Tensor, "b"]:
        """Whether each response gave its end token."""

    def after_update(self, update: int, optimizer: Optimizer) -> Mapping[str, float]:
        """Do to the weights what is due when update number ``update`` is through, here nothing; returns metrics.

        ``optimizer``: the policy's. What is done depends on these, the weights and the run's seed alone, so that a
        resumed run and every rank do the same.
        """
        return {}

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Weights and tokenizer in the layout that ``transformers`` loads."""

    def saver(self, on_all: bool = False) -> Callable[[Path], None]:
        """What writes the weights as they are now, without asking another rank; where sharded, all ranks ask for it.

        It is for the first rank only, unless ``on_all`` ranks are to write them.
        """
        return self.save

    def whole(self) -> AbstractContextManager[None]:
        """Within it ranks may write responses of different lengths; where sharded, all ranks enter."""
        return nullcontext()

    @abstractmethod
    def restore(self, directory: Path) -> None:
        """The weights that ``save`` wrote, to the bit; the reference stays."""


class Sampler(ABC):
    """``rollout``: turns prompts into responses.

    ``batch_size``: responses per update, ``samples_per_prompt`` of them to each prompt. ``staleness``: by how many
    updates the policy that writes lags behind the one that is trained. ``dynamic_sampling``: the most further rollouts
    of an update, in place of groups whose rewards are all equal; 0, or left out: none.
    """

    batch_size: int
    samples_per_prompt: int
    staleness: int
    dynamic_sampling: int

    @property
    def apart(self) -> float:
        """Nats per token by which its log-probabilities are meant to differ from the policy's, beyond rounding: 0."""
        return 0.0

    @abstractmethod
    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """One response per row, sampled from the distribution that is scored.

        All of a row's randomness comes from its seed, so that no row's response depends on the others.
        """

    @abstractmethod
    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """One response per row, the likeliest token every time."""

    def unperturbed(self) -> "Sampler":
        """What writes by the policy's own probabilities, to evaluate it: itself, unless it is meant to be ``apart``."""
        return self

    def within(self, policy: Policy) -> AbstractContextManager[None]:
        """In it ``sample``, ``greedy`` and ``beside`` are called. Where the policy is sharded, all ranks enter.

        Ranks write responses of different lengths, so what lies in parts has to be gathered before.
        """
        return policy.whole()

    def beside(self, policy: Policy) -> "Sampler | None":
        """A sampler that writes by the weights of this moment, in another thread, while ``policy`` is trained.

        It reads none of the policy's weights any more, and gives the log-probabilities of what it samples. None where
        there is none: the policy then waits until its rollout is written.
        """
        return None

    def close(self) -> None:  # noqa: B027 (most have started nothing)
        """The run is broken off: end what was started for it, also while that writes."""
