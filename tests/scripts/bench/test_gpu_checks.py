"""The checks of packing would see rows that see each other."""

from pathlib import Path

import torch
from scripts.bench.update import make_model

import safelab.pretrained.ragged.attention as attention
from scripts.bench import gpu_checks


def test_a_stream_whose_rows_see_each_other_is_beyond_the_bound(tmp_path: Path, monkeypatch) -> None:
    make_model(tmp_path, prompt=16)
    device = torch.device("cpu")
    assert gpu_checks.packed(tmp_path, device) < 0.01
    assert gpu_checks.packed_gradient(tmp_path, device) < 0.001

    def leaking(q, k, v, blocks, scaling, window):
        rows = (states.transpose(0, 1).unsqueeze(0) for states in (q, k, v))
        seen = torch.nn.functional.scaled_dot_product_attention(*rows, is_causal=True, scale=scaling)
        return seen[0].transpose(0, 1)

    right = gpu_checks.ragged_pass(tmp_path, device, "auto")[0]
    made = gpu_checks.policy_on

    def broken(*given):
        policy = made(*given)  # is looked at when it is loaded, and is right then
        monkeypatch.setattr(attention, "by_blocks", leaking)
        return policy

    monkeypatch.setattr(gpu_checks, "policy_on", broken)
    assert float((gpu_checks.ragged_pass(tmp_path, device, "auto")[0] - right).abs().mean()) > 0.05
