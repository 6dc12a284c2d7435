"""A part that returns something else than its contract asks for is told so by name, before anything is learnt."""

import math
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from safelab.contracts.answers import check_number, check_tensor, check_type
from safelab.errors import ConfigError
from safelab.training.losses import counts, loss_terms
from safelab.types import PolicyLoss
from support import toy


def objective(loss: Any) -> SimpleNamespace:
    """The toy objective under a user's name, with another loss."""
    return SimpleNamespace(**{**vars(toy.objective()), "name": "mine", "loss": loss})


def refused(said: str, **given: Any) -> None:
    """One pass with toy parts of which one answers wrongly."""
    parts = toy.parts(**given)
    batch = toy.batch(parts)
    with pytest.raises(ConfigError, match=re.escape(said)):
        loss_terms(parts, toy.plan(0.4), batch, counts(batch), objective=parts.objective.init())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda loss: loss.mean(), "objective=mine must return loss_tok of shape [3, 4], got one of []"),
        (lambda loss: loss.sum(dim=1), "objective=mine must return loss_tok of shape [3, 4], got one of [3]"),
        (lambda loss: loss[:, :1], "objective=mine must return loss_tok of shape [3, 4], got one of [3, 1]"),
        (lambda loss: loss.detach(), "objective=mine must return loss_tok with its gradient"),
        (lambda loss: 0.5, "objective=mine must return loss_tok as a tensor of shape [3, 4], got 0.5"),
    ],
)
def test_a_loss_that_is_none_per_token_is_refused(spoil: Any, said: str) -> None:
    right = toy.objective()

    def loss(*given: Any) -> Any:
        # Not checked by the annotations of PolicyLoss, as in a run.
        return unlooked_at(spoil(right.loss(*given).loss_tok))

    refused(said, objective=objective(loss))


def unlooked_at(loss_tok: Any) -> PolicyLoss:
    """A ``PolicyLoss`` whose fields were not looked at."""
    made = object.__new__(PolicyLoss)
    for name, value in (("loss_tok", loss_tok), ("clipped_tok", None), ("metrics_tok", {})):
        object.__setattr__(made, name, value)
    return made


def test_an_objective_that_returns_a_bare_tensor_is_told_what_it_owes() -> None:
    refused(
        "objective=mine must return a PolicyLoss from loss",
        objective=objective(lambda *given: torch.zeros(3, 4)),
    )


def test_a_critic_whose_loss_is_one_number_or_without_graph_is_refused() -> None:
    for spoil, said in ((torch.mean, "got one of []"), (torch.detach, "with its gradient")):
        critic = toy.critic()
        right = critic.loss
        critic.loss = lambda *given, spoil=spoil, right=right: spoil(right(*given))
        refused(said, critic=critic)


def test_a_route_that_returns_one_number_is_refused() -> None:
    controller = toy.controller()
    name = {"name": "mine", "in_loss": True, "needs_exact": False, "kl_tok": lambda *given: given[0].mean()}
    controller.route = SimpleNamespace(**name)
    refused("controller/route=mine must return kl_tok of shape [3, 4], got one of []", controller=controller)


@pytest.mark.parametrize("value", [None, True, torch.tensor(1.0), math.nan, math.inf, "1"])
def test_a_number_is_one_finite_number(value: Any) -> None:
    with pytest.raises(ConfigError, match="controller/gate=mine must return factor as a finite number, got"):
        check_number("controller/gate", SimpleNamespace(name="mine"), "factor", value)


def test_what_is_right_passes() -> None:
    part = SimpleNamespace()
    assert check_number("controller/gate", part, "factor", 2) == 2
    check_type("objective", part, "loss", 1.0, float)
    check_tensor("advantage", part, "advantage_tok", torch.zeros(2, 3), (2, 3))
    leaf = torch.zeros(2, 3, requires_grad=True)
    check_tensor("objective", part, "loss_tok", 2 * leaf, (2, 3), learns=True)
