"""Which pairs are learnt from, in which order; and that the cut of a batch moves no number of any lesson."""

from itertools import chain

import pytest
import torch

from safelab.errors import DataError
from safelab.supervised.options import PairOptions
from safelab.supervised.pairs import batches_of, learn_from_pairs, pieces_of, split
from support.lessons import LOADERS, lesson, options
from support.pairs import pairs


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(("size", "tokens"), [(1, None), (None, 40), (3, 40)])
def test_micro_batches_move_no_number(name: str, size: int | None, tokens: int | None) -> None:
    ends = []
    for bounds in ((size, tokens), (None, None)):
        chosen = dict(zip(("micro_batch_size", "micro_batch_tokens"), bounds, strict=True))
        chosen |= {"batch_size": 8, "lr": 0.01, "epochs": 1}
        learner = lesson(name, **chosen)
        assert (len(pieces_of(learner, pairs(8), options(name, **chosen))) > 1) == (bounds != (None, None))
        rows = learn_from_pairs(learner, pairs(16), options(name, **chosen), lambda text: None)
        ends.append((rows, torch.cat([weight.detach().flatten() for weight in learner.model.parameters()])))
    assert [row["loss"] for row in ends[0][0]] == pytest.approx([row["loss"] for row in ends[1][0]], rel=1e-5)
    # Adam divides by a gradient that may be tiny, which lets rounding through.
    assert torch.allclose(ends[0][1], ends[1][1], atol=1e-4)


@pytest.mark.parametrize("name", LOADERS)
def test_pieces_hold_as_many_tokens_as_they_may_and_a_longer_pair_goes_alone(name: str) -> None:
    learner, some = lesson(name), pairs(9)
    sizes = learner.lengths(some)
    most = sorted(set(sizes))[-2]
    pieces = pieces_of(learner, some, options(name, micro_batch_size=None, micro_batch_tokens=most))
    assert [pair for piece in pieces for pair in piece] == some
    held = [sum(learner.lengths(piece)) for piece in pieces]
    assert all(tokens <= most or len(piece) == 1 for tokens, piece in zip(held, pieces, strict=True))
    assert max(held) == max(sizes) > most
    assert all(first + learner.lengths(piece)[0] > most for first, piece in zip(held, pieces[1:], strict=False))


def test_every_pair_comes_once_per_epoch_in_a_new_order() -> None:
    some = pairs(10)
    batches = list(batches_of(some, options("sft", epochs=2, batch_size=4)))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*batches[:3])), list(chain(*batches[3:]))
    assert sorted(map(repr, first)) == sorted(map(repr, second)) == sorted(map(repr, some))
    assert first != second


def test_what_is_held_out_is_not_learnt_from() -> None:
    some = pairs(10)
    plain = {"path": "x", "subset": "x", "split": "train", "skip_unfit": False, "learn_from": None}
    train, held = split(some, PairOptions(**plain, limit=6, held_out=2))
    assert (train, held) == (some[:4], some[4:6])
    with pytest.raises(DataError, match=r"got 2 records with pairs\.held_out=2"):
        split(some, PairOptions(**plain, limit=2, held_out=2))


def test_a_part_of_the_pairs_is_measured_on_the_same_ones() -> None:
    some = pairs(10)
    plain = {"path": "x", "subset": "x", "split": "train", "skip_unfit": False, "limit": None, "held_out": 2}
    train, held = split(some, PairOptions(**plain, learn_from=3))
    assert (train, held) == (some[:3], some[8:])
    with pytest.raises(DataError, match="at most the 8 not kept back, got 9"):
        split(some, PairOptions(**plain, learn_from=9))
