"""A token by inverse CDF: as often as it is likely, the same in blocks as in one sum, never one that cannot be."""

from bisect import bisect_right
from itertools import accumulate

import pytest
import torch

from safelab.maths.drawing import drawn, uniforms


def test_frequencies_over_a_wide_vocabulary_are_the_probabilities() -> None:
    logits = 2 * torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    count = 200_000
    numbers = uniforms([1], count)[0]
    found = torch.cat(
        [
            drawn(logits.expand(len(some), -1), logits.amax(-1).expand(len(some)), 0.8, some)
            for some in numbers.split(2000)
        ]
    )
    probability = (logits[0].double() / 0.8).softmax(-1)
    often = probability * count >= 10
    seen = torch.bincount(found, minlength=5000)[often]
    expected = probability[often] * count
    # Chi-squared over the tokens expected ten times or more, and the rest as one: mean df, deviation sqrt(2 df).
    rest = count - expected.sum()
    chi = ((seen - expected) ** 2 / expected).sum() + (count - seen.sum() - rest) ** 2 / rest
    df = int(often.sum())
    assert abs(float(chi) - df) < 4 * (2 * df) ** 0.5


@pytest.mark.parametrize("vocabulary", [5, 512, 1300])
def test_blocks_find_what_one_running_sum_finds(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(400, vocabulary, generator=generator)
    numbers = torch.rand(400, dtype=torch.float64, generator=generator)
    sums = [list(accumulate(row)) for row in (logits.double() / 0.7).softmax(-1).tolist()]
    expected = [bisect_right(row, number * row[-1]) for row, number in zip(sums, numbers.tolist(), strict=True)]
    assert drawn(logits, logits.amax(dim=-1), 0.7, numbers).tolist() == expected


def test_a_token_without_a_probability_is_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]])
    edges = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    assert drawn(logits.expand(2, -1), torch.ones(2), 1.0, edges).tolist() == [1, 3]
    # The same where the last token with a probability is the last but one of a block, or of the first of three.
    for place in (510, 511, 512):
        one = torch.full((2, 1300), -torch.inf)
        one[:, 3] = one[:, place] = 0.0
        assert drawn(one, torch.zeros(2), 1.0, edges).tolist() == [3, place]
