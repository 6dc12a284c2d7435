"""One rule for the end of a response, whichever engine writes: the policy's end tokens, the first kept, no other."""

from typing import Any

import pytest
import torch

from safelab.parts.policy import _decoding
from support.models import context, tiny_policy
from support.objectives import component
from support.vllm_stand_in import LLM

LONGEST = 5
PAD = 0


def rows_of(policy: Any, sampler: Any) -> tuple[Any, ...]:
    prompts = policy.encode(["a b c", "d", "e f", "c"], range(4))
    rollout = sampler.sample(policy, prompts, [1, 2, 3, 4])
    tokens = [row[keep].tolist() for row, keep in zip(rollout.ids, rollout.mask, strict=True)]
    return tokens, rollout.mask.tolist(), rollout.ended_seq.tolist(), rollout.length_seq.tolist(), rollout.responses


SCRIPTS = {
    "an end token in the middle, none, first, last": [
        [4, 5, 6, 7, 8],
        [4, 6, 7, 8, 9],
        [5, 4, 4, 4, 4],
        [4, 4, 4, 4, 5],
    ],
    "each of several end tokens": [[4, 7, 6, 7, 8], [4, 6, 5, 8, 9], [7, 5, 4, 4, 4], [6, 6, 6, 6, 6]],
    "padding's own token as a token": [[PAD, PAD, 5, 4, 4], [PAD] * 5, [4, PAD, 5, 5, 5], [5, PAD, PAD, PAD, PAD]],
    "all end at once": [[5, 4, 4, 4, 4]] * 4,
    "none ends": [[4, 6, 8, 9, 4]] * 4,
}
ENDS = {"one": (5,), "two": (5, 7), "padding ends": (PAD,), "padding and another": (PAD, 5), "none written": (11,)}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("pad_ends", [False, True], ids=["", "pad is end"])
def test_both_engines_end_the_same_tokens_alike(
    stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch, script: list[list[int]], ends: tuple[int, ...], pad_ends: bool
) -> None:
    """Each engine is made to draw these tokens, row by row; what ends where is worked out here once more."""
    policy = tiny_policy()
    policy.ends = ends
    policy.pad = policy.texts.tokenizer.pad_token_id = ends[0] if pad_ends else PAD
    columns = iter(range(LONGEST))
    monkeypatch.setattr(
        _decoding, "drawn", lambda *asked: torch.tensor([row[at] for at in [next(columns)] for row in script])
    )
    monkeypatch.setattr(LLM, "chosen", lambda self, logp, draw, params, column: script[params.seed - 1][column])
    found = [
        rows_of(policy, component("rollout", name, context(policy), batch_size=4, max_new_tokens=LONGEST))
        for name in ("hf", "vllm")
    ]
    assert found[0] == found[1]
    lengths = [next((at + 1 for at, token in enumerate(row) if token in ends), LONGEST) for row in script]
    assert found[0][0] == [row[:length] for row, length in zip(script, lengths, strict=True)]
    assert found[0][2] == [row[length - 1] in ends for row, length in zip(script, lengths, strict=True)]
    assert found[0][3] == lengths
    assert max(len(row) for row in found[0][1]) == max(lengths)
