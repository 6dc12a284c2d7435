"""Which pairs are learnt from, in which order; and that the cut of a batch moves no number of any lesson."""

from itertools import chain

import pytest
import torch

from safelab.errors import DataError
from safelab.supervised.options import PairOptions
from safelab.supervised.pairs import batches_of, learn_from_pairs, split
from support.lessons import LOADERS, lesson, options
from support.pairs import pairs


@pytest.mark.parametrize("name", LOADERS)
def test_micro_batches_move_no_number(name: str) -> None:
    ends = []
    for size in (1, 8):
        chosen = {"micro_batch_size": size, "batch_size": 8, "lr": 0.01, "epochs": 1}
        learner = lesson(name, **chosen)
        rows = learn_from_pairs(learner, pairs(16), options(name, **chosen), lambda text: None)
        ends.append((rows, torch.cat([weight.detach().flatten() for weight in learner.model.parameters()])))
    assert [row["loss"] for row in ends[0][0]] == pytest.approx([row["loss"] for row in ends[1][0]], rel=1e-5)
    # Adam divides by a gradient that may be tiny, which lets rounding through.
    assert torch.allclose(ends[0][1], ends[1][1], atol=1e-4)


def test_every_pair_comes_once_per_epoch_in_a_new_order() -> None:
    some = pairs(10)
    batches = list(batches_of(some, options("sft", epochs=2, batch_size=4)))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*batches[:3])), list(chain(*batches[3:]))
    assert sorted(map(repr, first)) == sorted(map(repr, second)) == sorted(map(repr, some))
    assert first != second


def test_what_is_held_out_is_not_learnt_from() -> None:
    some = pairs(10)
    plain = {"path": "x", "subset": "x", "split": "train", "skip_unfit": False}
    train, held = split(some, PairOptions(**plain, limit=6, held_out=2))
    assert (train, held) == (some[:4], some[4:6])
    with pytest.raises(DataError, match=r"got 2 records with pairs\.held_out=2"):
        split(some, PairOptions(**plain, limit=2, held_out=2))
