"""Parts small enough to follow by hand: a policy that sees only the token before, in float64, with a linear critic.

``parts(...)`` fills every field of ``Components`` that a test does not name with an empty object, so that whatever a
stage reads beyond what it was given fails at once.
"""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from safelab.contracts import CausalModel, Optimizers
from safelab.crash.detectors import detect_init
from safelab.options import State
from safelab.ranks import Ranks
from safelab.training.components import Components
from safelab.training.state import Best, Counters, Recovery, TrainState
from safelab.types import Plan, PolicyLoss, PromptBatch, Rollout, TokenStats, TrainBatch
from support.controllers import part
from support.objectives import component

VOCABULARY, WIDTH = 7, 3
LENGTHS = (4, 2, 1)
"""Response tokens of the three sequences of ``rollout`` and ``batch``."""


class Bigram(nn.Module):
    """Logits of the next token from the one before: a row of a table, then a linear layer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.table = nn.Parameter(noise(VOCABULARY, WIDTH, seed=seed))
        self.out = nn.Parameter(noise(WIDTH, VOCABULARY, seed=seed + 1))

    def hidden(self, prompt_ids: Tensor, prompt_mask: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return self.table[torch.cat([prompt_ids[:, -1:], ids], dim=1)]

    def log_probs(self, hidden: Tensor) -> Tensor:
        return torch.log_softmax(hidden @ self.out, dim=-1)

    log_probs_of, likeliest = CausalModel.log_probs_of, CausalModel.likeliest

    def token_stats(self, hidden: Tensor, ids: Tensor, reference: Any = None, mask: Any = None) -> TokenStats:
        logp = self.log_probs(hidden)
        given: dict[str, Tensor] = {}
        if reference is not None:
            model, hidden_ref = reference
            logp_ref = model.log_probs(hidden_ref).detach()
            given = {
                "kl_exact_tok": (logp.exp() * (logp - logp_ref)).sum(dim=-1),
                "logp_ref_tok": logp_ref.gather(-1, ids.unsqueeze(-1)).squeeze(-1),
            }
        return TokenStats(
            logp_tok=logp.gather(-1, ids.unsqueeze(-1)).squeeze(-1),
            entropy_tok=-(logp.exp() * logp).sum(dim=-1),
            **given,
        )


def noise(*shape: int, seed: int) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def policy(seed: int = 0) -> SimpleNamespace:
    """A policy and a reference that differs from it."""
    module = Bigram(seed)
    reference = copy.deepcopy(module).requires_grad_(False)
    reference.table += 0.3 * noise(VOCABULARY, WIDTH, seed=seed + 2)
    return SimpleNamespace(
        module=module,
        model=module,
        reference=reference,
        hidden_size=WIDTH,
        pad=0,
        sharded=False,
        whole=nullcontext,
        moving=None,
    )


def critic(seed: int = 5, **changes: Any) -> SimpleNamespace:
    """Two heads, linear in the hidden state before each token; half the square of their mean's error."""
    module = nn.Linear(WIDTH, 2, bias=False, dtype=torch.float64)
    module.weight.data = noise(2, WIDTH, seed=seed)

    def heads(hidden: Tensor, mask: Tensor) -> Tensor:
        return module(hidden[:, :-1])

    def loss(heads: Tensor, heads_old: Tensor, returns: Tensor) -> Tensor:
        return 0.5 * (heads.mean(dim=-1) - returns).square()

    given = {"coef": 0.7, "warmup_updates": 0, "grain": "token", "target": None, **changes}
    return SimpleNamespace(
        module=module, states=lambda hidden, *_: hidden, heads=heads, bootstrap=heads, loss=loss,
        after_step=lambda: None,
        combine=lambda heads: heads.mean(dim=-1), **given,
    )  # fmt: skip


def objective(**changes: Any) -> SimpleNamespace:
    """``-A r`` with r = exp(logp - logp_old); "clipped" where A < 0; in the log: r^2, and the greatest of -r."""

    def loss(state: State, current: Any, batch: TrainBatch) -> PolicyLoss:
        ratio_tok = (current.logp_tok - batch.logp_old_tok).exp()
        return PolicyLoss(
            loss_tok=-batch.advantage_tok * ratio_tok,
            clipped_tok=batch.advantage_tok < 0,
            metrics_tok={"square": ratio_tok.detach().square()},
            greatest_tok={"fall": -ratio_tok.detach()},
        )

    given = {"needs": frozenset(), "entropy_coef": 0.05, "entropy_positions": "response", **changes}
    return SimpleNamespace(loss=loss, init=State, **given)


def controller(route: str = "constant", **changes: Any) -> SimpleNamespace:
    """Only the route of the KL, by its name in ``conf/controller/route``."""
    return SimpleNamespace(route=part("route", route), preview_max_kl=None, **changes)


def parts(**given: Any) -> Components:
    """Components with ``given`` and these for what is not: the policy, critic and objective above, sums over tokens."""
    made = {
        "settings": SimpleNamespace(seed=3),
        "policy": policy(),
        "critic": critic(),
        "objective": objective(),
        "controller": controller(),
        "aggregation": component("aggregation", "token_mean"),
        "correction": component("correction", "none"),
        "optimizer": SimpleNamespace(minibatches=1, micro_batch_size=None, micro_batch_tokens=None),
        "advantage": SimpleNamespace(needs=frozenset()),
        "ranks": Ranks(),
        **given,
    }
    return Components(**{field.name: made.get(field.name, SimpleNamespace()) for field in fields(Components)})


def state(parts: Components, lr: float = 0.1, limit: float | None = None, **counters: int) -> TrainState:
    """The state before an update, with plain gradient descent."""
    optimizers = Optimizers(
        policy=torch.optim.SGD(parts.policy.module.parameters(), lr),
        critic=torch.optim.SGD(parts.critic.module.parameters(), lr),
        policy_max_grad_norm=limit,
        critic_max_grad_norm=limit,
    )
    return TrainState(
        policy=parts.policy.module, critic=parts.critic.module, optimizers=optimizers,
        controller=State(), shaping=State(), objective=State(), detectors=detect_init(), recovery=Recovery(),
        best=Best(), counters=Counters(**{"update": 0, "cursor": 0, "episodes": 0, "tokens": 0, **counters}),
    )  # fmt: skip


def plan(kl_coef: float = 0.0, **changes: Any) -> Plan:
    """A plan whose only number that a loss reads is the slope of the penalty."""
    given = {
        "kl_coef": kl_coef, "penalty": 0.0, "threshold": 0.0, "gate": 1.0, "phase": "", "active": kl_coef != 0.0,
        "kl_short": 0.0, "kl_long": 0.0, "momentum": 0.0, "momentum_penalty": 0.0, "asymmetric_penalty": 0.0,
    }  # fmt: skip
    return Plan(**{**given, **changes})


def rollout(lengths: Sequence[int] = LENGTHS, seed: int = 20, **changes: Any) -> Rollout:
    """Random tokens of ``lengths``, each to a prompt of its own; every response has ended but the first."""
    columns = max(lengths)
    drawn = torch.Generator().manual_seed(seed)
    mask = torch.arange(columns) < torch.tensor(lengths)[:, None]
    given = {
        "prompts": prompts(len(lengths)),
        "ids": torch.randint(VOCABULARY, (len(lengths), columns), generator=drawn),
        "mask": mask,
        "ended_seq": torch.arange(len(lengths)) > 0,
        "responses": tuple(f"response {row}" for row in range(len(lengths))),
    }
    return Rollout(**{**given, **changes})


def prompts(count: int, groups: Sequence[int] | None = None) -> PromptBatch:
    """Prompts of two tokens."""
    ids = torch.arange(2 * count).reshape(count, 2) % VOCABULARY
    return PromptBatch(
        texts=tuple(f"prompt {row}" for row in range(count)),
        ids=ids,
        mask=torch.ones_like(ids, dtype=torch.bool),
        group_seq=torch.tensor(range(count) if groups is None else groups),
    )


def batch(parts: Components, lengths: Sequence[int] = LENGTHS, seed: int = 30) -> TrainBatch:
    """Training data about ``rollout(lengths)``; whatever stands on padding is there to be ignored."""
    written = rollout(lengths)
    inputs = (written.prompts.ids, written.prompts.mask, written.ids, written.mask)
    with torch.no_grad():
        logp = parts.policy.model.token_stats(parts.policy.model.hidden(*inputs)[:, :-1], written.ids).logp_tok
        hidden_ref = parts.policy.reference.hidden(*inputs)[:, :-1]
        heads = parts.critic.heads(parts.policy.model.hidden(*inputs), written.mask)
    shape = written.mask.shape
    return TrainBatch(
        prompt_ids=inputs[0], prompt_mask=inputs[1], group_seq=written.prompts.group_seq, ids=inputs[2],
        mask=inputs[3], logp_rollout_tok=logp, logp_old_tok=logp - 0.2 * noise(*shape, seed=seed),
        logp_ref_tok=logp - 0.3 * noise(*shape, seed=seed + 1), hidden_ref=hidden_ref,
        advantage_tok=noise(*shape, seed=seed + 2), heads_old=heads, returns=noise(*shape, seed=seed + 3),
        value_mask=written.mask,
    )  # fmt: skip


def log_softmax(weights: Bigram, before: int) -> np.ndarray:
    """The oracle of ``log_probs``: of the next token after token ``before``, by NumPy."""
    logits = weights.table.detach().numpy()[before] @ weights.out.detach().numpy()
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def tokens(batch: TrainBatch | Rollout) -> list[tuple[int, int, int, int]]:
    """Row, column, token before and token of every response token, in order."""
    prompt_ids = batch.prompts.ids if isinstance(batch, Rollout) else batch.prompt_ids
    found = []
    for row, ids in enumerate(batch.ids.tolist()):
        before = prompt_ids[row, -1].item()
        for column, token in enumerate(ids):
            if batch.mask[row, column]:
                found.append((row, column, before, token))
            before = token
    return found
