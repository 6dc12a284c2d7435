import pytest

from support.objectives import MASK, NEW, golden_loss, objective, token_gradient, told


def test_the_token_of_greatest_covariance_is_pulled() -> None:
    answer = told(objective("kl_cov"))
    assert answer.metrics_tok["pulled"][MASK].tolist() == [0, 0, 0, 0, 1]
    # -A r: -1.2, -1.5, -0.944444, 0.75, 0.2; and |log 0.2| on the last.
    assert golden_loss(objective("kl_cov")) == pytest.approx((-1.2 - 1.5 - 0.944444 + 0.95 + 1.609438) / 5, abs=1e-6)


def test_the_pull_is_towards_the_old_policy() -> None:
    with_pull, hardly = (token_gradient(objective("kl_cov", pull=pull), NEW) for pull in (1.0, 1e-9))
    assert (with_pull - hardly).tolist() == pytest.approx([0, 0, 0, 0, -1], abs=1e-6)


def test_a_share_of_the_tokens_is_pulled() -> None:
    assert told(objective("kl_cov", share=0.6)).metrics_tok["pulled"][MASK].tolist() == [1, 0, 1, 0, 1]
