import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import MASK, NEW, golden_batch, objective, token_gradient, told
from support.objectives import current as now

COV = [0.710270, 0.155752, 0.988915, -0.233628, 3.016032]


def test_worked_covariances_and_the_only_candidate() -> None:
    answer = told(objective("clip_cov"))
    assert answer.metrics_tok["covariance"][MASK].tolist() == pytest.approx(COV, abs=1e-5)
    assert answer.metrics_tok["drawn"][MASK].tolist() == [0, 0, 0, 0, 1]


def test_the_drawn_token_has_no_gradient_and_the_others_keep_theirs() -> None:
    gradient = token_gradient(objective("clip_cov"), NEW)
    assert gradient.tolist() == pytest.approx([-1.2, -1.5, -0.944444, 0.75, 0.0], abs=1e-5)


def test_a_share_is_drawn_by_the_seed_of_the_pass() -> None:
    made = objective("clip_cov", share=0.4, cov_low=-9.0, cov_high=9.0)
    drawn = [told(made, now(seed=seed)).metrics_tok["drawn"] for seed in (0, 0, *range(1, 20))]
    assert all(int(mask.sum()) == 2 for mask in drawn)
    assert torch.equal(drawn[0], drawn[1])
    assert len({tuple(mask.flatten().tolist()) for mask in drawn}) > 3
    assert not any(mask[1, 2] for mask in drawn), "padding is never drawn"


def test_without_a_candidate_nothing_is_drawn() -> None:
    answer = told(objective("clip_cov", cov_low=4.0), batch=golden_batch())
    assert answer.metrics_tok["drawn"].sum() == 0


def test_covariances_between_which_none_can_lie_are_refused() -> None:
    with pytest.raises(ConfigError, match="must have cov_low below cov_high"):
        objective("clip_cov", cov_low=5.0, cov_high=1.0)


def test_no_dual_clip_bounds_a_loss_unless_it_is_asked_for() -> None:
    """The authors' script sets one of 10, which their loss does not read."""
    far = NEW.clone()
    far[1, 0] = NEW[1, 0] + 4.0  # a ratio of 41 where A = -1
    loss = told(objective("clip_cov", cov_low=8.0, cov_high=9.0), now(far)).loss_tok[1, 0].item()
    assert loss == pytest.approx(0.75 * 2.718281828**4, rel=1e-5)
    bounded = told(objective("clip_cov", cov_low=8.0, cov_high=9.0, dual_clip=10.0), now(far)).loss_tok[1, 0].item()
    assert bounded == pytest.approx(10.0, rel=1e-5)
