"""Full fine-tuning: everything trains, the reference is another model."""

from support.models import tiny_policy


def test_every_weight_trains_and_the_reference_is_a_copy() -> None:
    policy = tiny_policy()
    assert all(weight.requires_grad for weight in policy.module.parameters())
    assert policy.reference.module is not policy.model.module
