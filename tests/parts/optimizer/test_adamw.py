import torch
from torch import nn

from safelab.contracts import GradientPenalty
from safelab.plugins import build_option
from support.models import context

OPTIONS = {
    "name": "adamw", "lr": 0.1, "critic_lr": 0.5, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
    "max_grad_norm": 1.0, "critic_max_grad_norm": None, "epochs": 2, "minibatches": 1, "micro_batch_size": None,
    "micro_batch_tokens": None, "target_kl": None, "schedule": "constant",
    "gradient_penalty": {"coef": 0.0, "step": 1e-3, "clip": 10.0, "direction": "gradient"},
}  # fmt: skip


def test_each_part_moves_at_its_own_rate() -> None:
    policy, critic = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    optimizers = build_option("optimizer", OPTIONS, context()).make(policy, critic)
    starts = policy.weight.item(), critic.weight.item()
    for module in (policy, critic):
        module.weight.grad = torch.ones_like(module.weight)
    optimizers.policy.step()
    optimizers.critic.step()
    # Adam's first step is the learning rate against the gradient's sign.
    assert round(starts[0] - policy.weight.item(), 5) == 0.1
    assert round(starts[1] - critic.weight.item(), 5) == 0.5


def test_frozen_weights_are_left_out() -> None:
    policy = nn.Linear(2, 2)
    policy.bias.requires_grad_(False)
    optimizers = build_option("optimizer", OPTIONS, context()).make(policy, nn.Linear(1, 1))
    assert [weight.shape for weight in optimizers.policy.param_groups[0]["params"]] == [torch.Size([2, 2])]


def test_a_linear_schedule_begins_at_the_rate_and_would_reach_0_one_update_after_the_last() -> None:
    made = build_option("optimizer", {**OPTIONS, "schedule": "linear"}, context())
    # Huang et al.'s ``1 - (update - 1) / num_updates``, whose updates begin at 1.
    assert [made.lr_share(update, 4) for update in range(4)] == [1 - (number - 1.0) / 4 for number in range(1, 5)]
    optimizers = made.make(nn.Linear(1, 1), nn.Linear(1, 1))
    assert optimizers.policy.param_groups[0]["initial_lr"] == 0.1
    assert optimizers.critic.param_groups[0]["initial_lr"] == 0.5


def test_a_constant_schedule_leaves_rates_and_groups_alone() -> None:
    made = build_option("optimizer", OPTIONS, context())
    assert made.lr_share(3, 4) is None
    assert "initial_lr" not in made.make(nn.Linear(1, 1), nn.Linear(1, 1)).policy.param_groups[0]


def test_a_gradient_penalty_is_there_where_it_has_a_coefficient() -> None:
    def made(**changes: object) -> object:
        options = {**OPTIONS, "gradient_penalty": {**OPTIONS["gradient_penalty"], **changes}}
        return build_option("optimizer", options, context()).make(nn.Linear(1, 1), nn.Linear(1, 1)).gradient_penalty

    assert made() is None
    assert made(coef=0.5, clip=None) == GradientPenalty(coef=0.5, step=1e-3, clip=None, direction="gradient")
