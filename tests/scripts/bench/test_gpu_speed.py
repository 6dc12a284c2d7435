"""MFU counts what tokens need, by hand."""

import torch

from scripts.bench import gpu_speed


def test_the_arithmetic_of_a_pass_is_counted_by_hand() -> None:
    shape = {"vocab_size": 10, "hidden_size": 4, "num_attention_heads": 2, "num_hidden_layers": 3}
    module = torch.nn.ParameterDict({"head": torch.zeros(10, 4), "body": torch.zeros(5, 6)})
    # Two rows of 3 + 1 and 2 + 2 tokens: 8, of which 3 are answers; each sees 1 to 4 tokens, 20 pairs in all.
    once = 2 * 30 * 8 + 2 * 40 * 3 + 3 * 2 * 2 * 4 * 20
    back = once + 3 * 2 * 2 * 4 * 20 + 2 * 30 * 8 + 2 * 40 * 3
    assert gpu_speed.passes_flops(module, shape, [(3, 1), (2, 2)], 1) == once + back
    module["head"].requires_grad_(False), module["body"].requires_grad_(False)
    assert gpu_speed.passes_flops(module, shape, [(3, 1), (2, 2)], 2) == 3 * once + 3 * 2 * 2 * 4 * 20
