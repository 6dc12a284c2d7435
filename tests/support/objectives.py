"""Objectives on two responses of 3 and 2 tokens with advantages +1 and -1, whose losses were worked out elsewhere.

Probabilities of the sampled tokens: ``OLD`` before the update (and when they were sampled), ``NEW`` now, ``REF`` the
reference. Ratios NEW / OLD: 1.2, 1.5, 0.944444 and 0.75, 0.2. The third column of the second response is padding.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from safelab.contracts import Context
from safelab.parts.objective.logits_convex_dense import LogitsConvexDense
from safelab.plugins import build_option
from safelab.types import Counts, Current, PolicyLoss, TrainBatch
from support.models import context

CONF = Path(__file__).parents[2] / "conf"
OBJECTIVES = sorted(path.stem for path in (CONF / "objective").glob("*.yaml"))

OLD = torch.tensor([[0.5, 0.2, 0.9], [0.4, 0.1, 0.5]]).log()
NEW = torch.tensor([[0.6, 0.3, 0.85], [0.3, 0.02, 0.5]]).log()
REF = torch.tensor([[0.45, 0.25, 0.8], [0.35, 0.2, 0.5]]).log()
MASK = torch.tensor([[True, True, True], [True, True, False]])
ADVANTAGE = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 0.0]])


def component(group: str, name: str, /, surroundings: Context | None = None, **changes: Any) -> Any:
    """``<group>/<name>`` as its YAML has it, with ``changes``; interpolations stand for 32."""
    config = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    plain = {key: 32 if isinstance(value, str) and "${" in value else value for key, value in config.items()}
    return build_option(group, {**plain, **changes}, surroundings or context())


class Judge:
    """A verifier that likes what the old policy does not, as far as it has distributions."""

    def log_probs(self, batch: TrainBatch) -> torch.Tensor:
        assert batch.logp_vocab_old is not None
        return batch.logp_vocab_old.flip(-1)


def objective(name: str, **changes: Any) -> Any:
    """``objective/<name>`` with ``changes``; one that asks a verifier gets ``Judge``."""
    if name != "logits_convex_dense":
        return component("objective", name, **changes)
    config = yaml.safe_load((CONF / "objective" / f"{name}.yaml").read_text())
    return LogitsConvexDense(**{**config, "path": "org/verifier", **changes}).reading(Judge())


def golden_batch(**changes: Any) -> TrainBatch:
    """The two responses; they answer the same prompt."""
    batch = TrainBatch(
        prompt_ids=torch.zeros(2, 1, dtype=torch.long),
        prompt_mask=torch.ones(2, 1, dtype=torch.bool),
        group_seq=torch.zeros(2, dtype=torch.long),
        ids=torch.zeros(2, 3, dtype=torch.long),
        mask=MASK,
        logp_rollout_tok=OLD,
        logp_old_tok=OLD,
        logp_ref_tok=REF,
        hidden_ref=torch.zeros(2, 3, 1),
        advantage_tok=ADVANTAGE,
        heads_old=torch.zeros(2, 0, 1),
        returns=torch.zeros(2, 0),
        value_mask=torch.zeros(2, 0, dtype=torch.bool),
    )
    return replace(batch, **changes)


def groups_batch(
    group_seq: Sequence[int], score_seq: Sequence[float], mask: torch.Tensor, logp_ref_tok: torch.Tensor
) -> TrainBatch:
    """Responses to several prompts, of any number and width; what else a batch holds is the golden one's first row."""
    first = golden_batch().rows(torch.zeros(len(mask), dtype=torch.long))
    zeros = torch.zeros_like(logp_ref_tok)
    return replace(
        first,
        group_seq=torch.tensor(group_seq),
        ids=torch.zeros(mask.shape, dtype=torch.long),
        mask=mask,
        logp_rollout_tok=zeros,
        logp_old_tok=zeros,
        logp_ref_tok=logp_ref_tok,
        hidden_ref=torch.zeros(*mask.shape, 1),
        advantage_tok=torch.tensor(score_seq).to(logp_ref_tok)[:, None] * mask,
    )


def current(logp_tok: torch.Tensor = NEW, logp_vocab: torch.Tensor | None = None, seed: int = 0) -> Current:
    """The policy as it is now."""
    return Current(logp_tok=logp_tok, logp_vocab=logp_vocab, logit_tok=logp_tok, seed=seed)


def told(made: Any, now: Current | None = None, batch: TrainBatch | None = None) -> PolicyLoss:
    """What a fresh objective says of the two responses."""
    return made.loss(made.init(), now or current(), batch or golden_batch())


def reduced(answer: PolicyLoss, batch: TrainBatch, aggregation: str = "token_mean", **changes: Any) -> torch.Tensor:
    """The loss of a whole minibatch."""
    whole = Counts(sequences=len(batch), tokens=int(batch.mask.sum()), columns=batch.mask.numel(), values=0)
    return component("aggregation", aggregation, **changes).reduce(answer.loss_tok, batch.mask, whole)


def golden_loss(made: Any, aggregation: str = "token_mean", **changes: Any) -> float:
    """The loss of the two responses."""
    return float(reduced(told(made), golden_batch(), aggregation, **changes))


def token_gradient(made: Any, logp: torch.Tensor, batch: TrainBatch | None = None) -> torch.Tensor:
    """D (sum of the tokens' losses) / d log p, on the response tokens."""
    batch = batch or golden_batch()
    leaf = logp.clone().requires_grad_(True)
    told(made, current(leaf), batch).loss_tok[batch.mask].sum().backward()
    return leaf.grad[batch.mask]


def corrected_losses(correction: Any) -> tuple[float, float]:
    """The loss -w A of the two responses by ``token_mean`` and by ``sequence_mean``: NEW is *old*, OLD the sampler."""
    batch = golden_batch(logp_old_tok=NEW, logp_rollout_tok=OLD)
    weight_tok = correction.weigh(NEW - OLD, MASK).weight_tok
    answer = PolicyLoss(loss_tok=-weight_tok * ADVANTAGE)
    by_token, by_sequence = (float(reduced(answer, batch, name)) for name in ("token_mean", "sequence_mean"))
    return by_token, by_sequence
