"""The second gradient: by worked numbers, in closed form, and against finite differences of the whole loss."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from safelab.contracts import GradientPenalty
from safelab.options import State
from safelab.training.components import Components
from safelab.training.gradient_penalty import penalise, random_like, shifted
from safelab.training.losses import counts, loss_terms
from safelab.training.update import step
from support import toy

# Probabilities of five sampled tokens: the policy's, the sampler's, and their advantages.
POLICY = torch.tensor([0.6, 0.3, 0.85, 0.3, 0.02], dtype=torch.float64)
SAMPLER = torch.tensor([0.5, 0.2, 0.9, 0.4, 0.1], dtype=torch.float64)
ADVANTAGE = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)


def penalty(**changes) -> GradientPenalty:
    return GradientPenalty(**{"coef": 1.0, "step": 1e-3, "clip": 10.0, "direction": "gradient", **changes})


class Weights(nn.Module):
    def __init__(self, *values: Tensor) -> None:
        super().__init__()
        self.values = nn.ParameterList(value.clone() for value in values)


def penalised(module: Weights, loss: Callable[..., Tensor], seed: int = 0, **changes) -> dict[str, float]:
    """The gradient and then d, on one module."""

    def again() -> None:
        loss(*module.values).backward()

    again()
    return {name: float(value) for name, value in penalise(module, penalty(**changes), again, seed).items()}


def surrogate(logits: Tensor) -> Tensor:
    return -(ADVANTAGE * logits.sigmoid() / SAMPLER).mean()


def test_five_tokens_by_worked_numbers() -> None:
    module = Weights(POLICY.logit())
    assert surrogate(*module.values).item() == pytest.approx(-0.538889, abs=1e-6)
    found = penalised(module, surrogate)
    expected = torch.tensor([-0.097843, -0.192359, -0.028895, 0.109410, 0.040675], dtype=torch.float64)
    torch.testing.assert_close(module.values[0].grad, expected, atol=1e-6, rtol=0)
    first = torch.tensor([-0.096000, -0.210000, -0.028333, 0.105000, 0.039200], dtype=torch.float64)
    assert found["gradient_penalty/norm"] == pytest.approx(first.norm().item(), abs=1e-6)
    assert found["gradient_penalty/norm"] ** 2 / 2 == pytest.approx(0.033340, abs=1e-6)
    assert found["gradient_penalty/share"] == pytest.approx(((expected - first).norm() / first.norm()).item(), abs=1e-5)
    assert found["gradient_penalty/moved"] == pytest.approx(1.0)
    assert found["gradient_penalty/clipped"] == 0.0


def test_a_small_step_gives_the_exact_hessian() -> None:
    module = Weights(POLICY.logit())
    penalised(module, surrogate, step=1e-6)
    assert module.values[0].grad[1].item() == pytest.approx(-0.192360, abs=1e-6)
    logits = POLICY.logit().requires_grad_()
    (first,) = torch.autograd.grad(surrogate(logits), logits, create_graph=True)
    (slope,) = torch.autograd.grad(surrogate(logits) + first.square().sum() / 2, logits)
    torch.testing.assert_close(module.values[0].grad, slope, atol=1e-8, rtol=0)


@pytest.mark.parametrize("step", [1e-3, 0.5])
def test_of_a_quadratic_it_is_the_closed_form_whatever_the_step(step: float) -> None:
    # L = z H z / 2: grad L = H z, and the penalty's gradient is H H z.
    root = toy.noise(4, 4, seed=1)
    hessian, start = root @ root.T, toy.noise(4, seed=2)
    module = Weights(start[:1], start[1:])

    def loss(*values: Tensor) -> Tensor:
        z = torch.cat(list(values))
        return z @ hessian @ z / 2

    penalised(module, loss, coef=0.3, step=step, clip=None)
    expected = hessian @ start + 0.3 * hessian @ hessian @ start
    torch.testing.assert_close(torch.cat([w.grad for w in module.values]), expected, atol=1e-8, rtol=1e-9)


def test_a_random_direction_is_as_long_and_its_own_for_each_seed() -> None:
    module, first = Weights(POLICY.logit()), Weights(POLICY.logit())
    surrogate(*first.values).backward()
    gradient = first.values[0].grad
    (along,) = random_like([gradient], seed=4)
    assert along.norm().item() == pytest.approx(gradient.norm().item())
    assert not torch.equal(along, random_like([gradient], seed=5)[0])
    penalised(module, surrogate, seed=4, direction="random", step=1e-6)
    hessian = torch.autograd.functional.hessian(surrogate, POLICY.logit())
    torch.testing.assert_close(module.values[0].grad, gradient + hessian @ along, atol=1e-7, rtol=0)


def test_both_gradients_are_scaled_down_first() -> None:
    # L = 2 z^2: g = 4 z. From z = 1 clipped to 1, one step of 0.25 further g is 5, and clipped to 1 as well.
    module = Weights(torch.tensor([1.0], dtype=torch.float64))
    found = penalised(module, lambda z: 2 * z.square().sum(), step=0.25, clip=1.0)
    assert found["gradient_penalty/norm"] == pytest.approx(4.0)
    assert found["gradient_penalty/norm_after"] == pytest.approx(5.0, abs=1e-5)
    assert found["gradient_penalty/clipped"] == 1.0
    assert module.values[0].grad.item() == pytest.approx(1.0, abs=1e-5)


def test_the_weights_are_what_they_were_to_the_bit_even_if_the_second_pass_fails() -> None:
    start = torch.tensor([0.1, 1e8, -3.3e-7])
    module = Weights(start)

    def fails() -> None:
        assert not torch.equal(module.values[0], start)
        raise RuntimeError("no second pass")

    module.values[0].square().sum().backward()
    with pytest.raises(RuntimeError, match="no second pass"):
        penalise(module, penalty(clip=None), fails, 0)
    assert torch.equal(module.values[0], start)


@pytest.mark.parametrize(("dtype", "moved"), [(torch.float32, 1.0), (torch.bfloat16, 0.0)])
def test_a_step_that_rounding_takes_is_told(dtype: torch.dtype, moved: float) -> None:
    weights = [nn.Parameter(torch.ones(8, dtype=dtype))]
    with shifted(weights, [torch.full((8,), 0.5, dtype=dtype)], 1e-3) as done:
        assert float(done) == pytest.approx(moved, abs=1e-3)


def test_without_any_gradient_nothing_is_divided_by_0() -> None:
    found = penalised(Weights(POLICY.logit()), lambda z: 0.0 * z.sum())
    assert set(found.values()) == {0.0}


def stepped(coef: float, parts: Components) -> dict[str, float]:
    state = toy.state(parts, lr=1.0)
    if coef:
        given = penalty(coef=coef, step=1e-7, clip=None)
        state = replace(state, optimizers=replace(state.optimizers, gradient_penalty=given))
    batch = toy.batch(parts)
    return step(parts, state, batch, counts(batch), toy.plan(0.4), True, None, 0).sums


@pytest.mark.parametrize("micro", [None, 1, 2])
def test_a_step_follows_the_whole_loss_with_its_penalty(micro: int | None) -> None:
    cut = SimpleNamespace(minibatches=1, micro_batch_size=micro, micro_batch_tokens=None)
    critic = {"critic": toy.critic(detach=False)}
    parts = toy.parts(optimizer=cut, controller=toy.controller("loss_exact"), **critic)
    batch, weights = toy.batch(parts), [*parts.policy.module.parameters()]
    total = loss_terms(parts, toy.plan(0.4), batch, counts(batch), objective=State()).total
    first = torch.autograd.grad(total, weights, create_graph=True)
    slope = torch.autograd.grad(total + 0.05 * sum(g.square().sum() for g in first), weights)
    start = [weight.detach().clone() for weight in weights]
    sums = stepped(0.1, parts)
    for weight, before, along in zip(weights, start, slope, strict=True):
        torch.testing.assert_close(before - weight, along, atol=1e-6, rtol=0)
    assert sums["gradient_penalty/share"] > 1e-3
    assert sums["policy_grad_norm"] == pytest.approx(torch.cat([s.flatten() for s in slope]).norm().item(), abs=1e-5)


def test_the_critic_is_stepped_as_without() -> None:
    with_it, without = (toy.parts(controller=toy.controller("loss_exact")) for _ in range(2))
    sums, plain = stepped(0.1, with_it), stepped(0.0, without)
    assert torch.equal(with_it.critic.module.weight, without.critic.module.weight)
    assert not torch.equal(with_it.policy.module.out, without.policy.module.out)
    assert {name: sums[name] for name in plain if name != "policy_grad_norm"} == {
        name: value for name, value in plain.items() if name != "policy_grad_norm"
    }
    assert not any(name.startswith("gradient_penalty/") for name in plain)
