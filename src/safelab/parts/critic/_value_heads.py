"""Value heads on the policy's hidden states: what every critic of this group shares."""

import copy
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from safelab.contracts import Context, Critic
from safelab.errors import ConfigError
from safelab.maths.seeds import derive_seed
from safelab.parts.critic._value_loss import ValueLossOptions
from safelab.types import Grain

ReadAt = Literal["prompt_end", "response_end", "last_position", "per_token"]


class HeadOptions(ValueLossOptions, ABC):
    """What a critic reads of the policy, and how it is trained: see ``ValueLossOptions``.

    ``read_at``: ``prompt_end`` sees no action; ``response_end`` the last response token; ``last_position`` the
    last column, padding or not (as the released code); ``per_token`` before each token. ``detach``: no value
    gradient into the policy. ``polyak_rate``: share of the new weights that the target takes per step, null for no
    target.
    """

    read_at: ReadAt
    layer_norm: bool
    detach: bool
    polyak_rate: Annotated[float, Field(gt=0, le=1)] | None

    @abstractmethod
    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """One value of the heads'."""

    @model_validator(mode="after")
    def _target_is_read(self) -> "HeadOptions":
        if self.polyak_rate is not None and self.read_at != "per_token":
            raise ValueError(
                f"must have polyak_rate=null unless read_at=per_token, got {self.polyak_rate} with {self.read_at}: "
                "one value per sequence bootstraps nothing, so the target would never be read"
            )
        return self


class ValueHeads(nn.Module):
    """[LayerNorm ->] for each head: Linear(d, d/4) -> GELU -> Linear(d/4, 1), in float32."""

    def __init__(self, hidden_size: int, count: int, layer_norm: bool) -> None:
        super().__init__()
        inner = max(1, hidden_size // 4)
        self.norm: nn.Module = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden_size, inner), nn.GELU(), nn.Linear(inner, 1)) for _ in range(count)
        )

    def forward(self, hidden: Float[Tensor, "b v d"]) -> Float[Tensor, "b v h"]:
        """One value per head and place."""
        # float32 also on a bfloat16 policy: at lr 1e-5 bfloat16 weights would hardly ever move.
        normed = self.norm(hidden.float())
        return torch.cat([head(normed) for head in self.heads], dim=-1)


class HeadCritic(Critic):
    """One or more heads, freshly made; ``joint``: whether the loss is that of the combined value."""

    def __init__(self, options: HeadOptions, context: Context, count: int, joint: bool) -> None:
        if context.policy is None:
            raise ConfigError("critic must be built after the policy, whose hidden states it reads")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(context.seed, "critic"))
            self.module = ValueHeads(context.policy.hidden_size, count, options.layer_norm).to(context.device)
        self.grain: Grain = "token" if options.read_at == "per_token" else "sequence"
        self.coef = options.coef
        self.warmup_updates = options.warmup_updates
        self.reads_padding = options.read_at == "last_position"
        self._options = options
        self._joint = joint
        self.target: nn.Module | None = None
        if options.polyak_rate is not None:
            self.target = copy.deepcopy(self.module).requires_grad_(False)

    def heads(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """Each head's value at the places that ``read_at`` names; v is 1, or t for ``per_token``."""
        values: Tensor = self.module(
            read(hidden.detach() if self._options.detach else hidden, mask, self._options.read_at)
        )
        return values

    @torch.no_grad()
    def bootstrap(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """The target's values, or the critic's own where it keeps no target."""
        values: Tensor = (self.target or self.module)(read(hidden, mask, self._options.read_at))
        return values

    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """One value of the heads', as the option does it."""
        return self._options.combine(heads)

    def loss(
        self, heads: Float[Tensor, "b v h"], heads_old: Float[Tensor, "b v h"], returns: Float[Tensor, "b v"]
    ) -> Float[Tensor, "b v"]:
        """Heads together through ``combine``, or each on its own (their mean); see ``maths.surrogate.value_loss``."""
        if self._joint:
            return self._options.loss(self.combine(heads), self.combine(heads_old), returns)
        return self._options.loss(heads, heads_old, returns.unsqueeze(-1).expand_as(heads)).mean(dim=-1)

    @torch.no_grad()
    def after_step(self) -> None:
        """Target <- (1 - rate) target + rate weights."""
        if self.target is None or self._options.polyak_rate is None:
            return
        for slow, fast in zip(self.target.parameters(), self.module.parameters(), strict=True):
            slow.lerp_(fast, self._options.polyak_rate)


def read(hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"], at: ReadAt) -> Float[Tensor, "b v d"]:
    """The hidden states that a value is read from; column 0 is the last prompt token, column i response token i."""
    if at == "prompt_end":
        return hidden[:, :1]
    if at == "per_token":
        return hidden[:, :-1]
    if at == "last_position":
        return hidden[:, -1:]
    last = mask.sum(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last].unsqueeze(1)
