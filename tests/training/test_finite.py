"""What is not finite is told by the first quantity that is not; what the masks leave out does not matter."""

import math
from dataclasses import replace

import pytest
import torch

from safelab.errors import Diverged
from safelab.ranks import Ranks
from safelab.training.finite import check_batch, check_plan, check_weights
from support import toy
from support.ranks import on_ranks


@pytest.mark.parametrize("name", ["kl_short", "threshold", "gate", "penalty", "kl_coef"])
def test_a_plan_that_is_not_finite_is_told_by_its_first_number(name: str) -> None:
    later = {"gate": {"penalty": math.nan, "kl_coef": math.nan}}.get(name, {})
    check_plan(toy.plan(), 3)
    with pytest.raises(Diverged, match=f"^the controller's {name} must be finite, got nan at update 3; look at the"):
        check_plan(replace(toy.plan(), **{name: math.nan}, **later), 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("logp_old_tok", "the policy's log-probability"),
        ("logp_ref_tok", "the reference's log-probability"),
        ("heads_old", "the critic's value"),
        ("advantage_tok", "the advantage"),
        ("returns", "the critic's target"),
    ],
)
def test_a_batch_that_is_not_finite_is_told_by_its_first_quantity(name: str, said: str) -> None:
    batch, shaped_seq = toy.batch(toy.parts()), torch.zeros(3)
    check_batch(batch, shaped_seq, 3)
    broken = {key: torch.full_like(getattr(batch, key), math.inf) for key in (name, "returns")}
    with pytest.raises(Diverged, match=f"^{said} must be finite, got inf at update 3"):
        check_batch(replace(batch, **broken), shaped_seq, 3)
    with pytest.raises(Diverged, match=r"^the shaped reward must be finite, got nan"):
        check_batch(replace(batch, returns=broken["returns"]), torch.tensor([0.0, math.nan, 0.0]), 3)
    masked = {key: torch.where(batch.mask, getattr(batch, key), math.nan) for key in ("logp_old_tok", "advantage_tok")}
    check_batch(replace(batch, **masked), shaped_seq, 3)


def one_diverges(ranks: Ranks) -> str:
    parts = toy.parts(ranks=ranks)
    if ranks.rank == 1:
        parts.policy.module.out.data[0, 0] = float("nan")
    try:
        check_weights(parts, toy.state(parts))
    except Diverged as error:
        return str(error)
    return "nothing"


def test_a_weight_that_is_not_finite_on_one_rank_is_told_on_all() -> None:
    said = on_ranks(2, one_diverges)
    assert said[0] == said[1]
    assert said[0].startswith("the norm of the policy's weights must be finite, got nan at update")
