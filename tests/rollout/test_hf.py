import torch

from safelab.plugins import build_option
from support.models import context, tiny_policy


def test_one_response_for_each_prompt() -> None:
    options = {"name": "hf", "batch_size": 4, "max_new_tokens": 5, "sampling_temperature": 1.0}
    sampler = build_option("rollout", options, context())
    policy = tiny_policy()
    torch.manual_seed(0)
    rollout = sampler.rollout(policy, policy.encode(["a", "b c", "d", "e"], range(4)))
    assert sampler.batch_size == 4
    assert len(rollout.responses) == 4
    assert rollout.ids.shape == rollout.mask.shape
    assert rollout.ids.shape[1] <= 5
    assert torch.equal(rollout.length_seq, rollout.mask.sum(dim=1))
    assert rollout.ended_seq.tolist() == [
        1 in row[keep].tolist() for row, keep in zip(rollout.ids, rollout.mask, strict=True)
    ]
