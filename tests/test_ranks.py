"""What the processes of a run tell each other, three at a time."""

import os
from typing import Any

import pytest
import torch

from safelab.errors import RankLost, RewardFailed, RunFailed
from safelab.ranks import Ranks, check_same
from support.ranks import on_ranks


@pytest.mark.parametrize("count", [3, 4, 8, 11])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_rows_are_cut_as_torch_cuts_them(count: int, size: int) -> None:
    rows = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    shares = [Ranks(rank, size).share(rows) for rank in range(size)]
    assert [share.tolist() for share in shares] == [part.tolist() for part in rows.tensor_split(size)]


def test_one_process_exchanges_nothing() -> None:
    ranks, own = Ranks(), torch.ones(2)
    ranks.add_gradients(torch.nn.Linear(1, 1))
    check_same(ranks, "a number", [1.0])
    assert ranks.whole(own) is own
    assert (ranks.all(3), ranks.told(4), ranks.joined((1, 2)), ranks.agreed(lambda: 5)) == ([3], 4, [1, 2], 5)
    assert ranks.taken() == 0.0


def exchanges(ranks: Ranks) -> dict[str, Any]:
    number = ranks.rank + 1
    tall = torch.full((number, 4 - number), float(number))
    seen = {
        "whole": ranks.whole(tall, fill=-1.0).tolist(),
        "truths": ranks.whole(torch.tensor([ranks.rank == 1])).tolist(),
        "joined": ranks.joined([ranks.rank] * number),
        "told": ranks.told(f"rank {ranks.rank}"),
        "all": ranks.all(number),
    }
    return {**seen, "seconds": ranks.taken() > 0 and ranks.taken() == 0}


def test_rows_of_any_number_and_width_come_together_in_order() -> None:
    expected = [[1.0, 1.0, 1.0], [2.0, 2.0, -1.0], [2.0, 2.0, -1.0], *[[3.0, -1.0, -1.0]] * 3]
    for seen in on_ranks(3, exchanges):
        assert seen["whole"] == expected
        assert seen["truths"] == [False, True, False]
        assert seen["joined"] == [0, 1, 1, 2, 2, 2]
        assert (seen["told"], seen["all"], seen["seconds"]) == ("rank 0", [1, 2, 3], True)


def gradients(ranks: Ranks) -> dict[str, Any]:
    module = torch.nn.ParameterDict(
        {
            "everywhere": torch.nn.Parameter(torch.zeros(2, 2)),
            "coarse": torch.nn.Parameter(torch.zeros(3, dtype=torch.bfloat16)),
            "once": torch.nn.Parameter(torch.zeros(2)),
            "nowhere": torch.nn.Parameter(torch.zeros(1)),
            "frozen": torch.nn.Parameter(torch.zeros(1), requires_grad=False),
        }
    )
    module["everywhere"].grad = torch.full((2, 2), 10.0**ranks.rank)
    module["coarse"].grad = torch.full((3,), 2.0**ranks.rank, dtype=torch.bfloat16)
    if ranks.rank == 1:
        module["once"].grad = torch.tensor([0.5, 0.25])
    ranks.add_gradients(module)
    return {name: weight.grad.tolist() for name, weight in module.items() if weight.grad is not None}


def test_gradients_are_summed_and_none_stays_none() -> None:
    expected = {"everywhere": [[111.0, 111.0], [111.0, 111.0]], "coarse": [7.0, 7.0, 7.0], "once": [0.5, 0.25]}
    assert on_ranks(3, gradients) == [expected] * 3


def test_gradients_come_in_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelab.ranks.BUCKET", 3)
    expected = {"everywhere": [[11.0, 11.0], [11.0, 11.0]], "coarse": [3.0, 3.0, 3.0], "once": [0.5, 0.25]}
    assert on_ranks(2, gradients) == [expected] * 2


def fails_on(ranks: Ranks, where: tuple[int, ...]) -> tuple[str, Any, int]:
    def work() -> str:
        if ranks.rank in where:
            raise RewardFailed(f"no reward on {ranks.rank}", {"prompts": ["a"]}, own=True)
        return "done"

    try:
        return ranks.agreed(work), None, 0
    except RewardFailed as error:
        return str(error), error.batch, error.exit_code


def test_what_fails_on_one_rank_fails_on_all() -> None:
    assert on_ranks(3, lambda ranks: fails_on(ranks, ())) == [("done", None, 0)] * 3
    assert on_ranks(3, lambda ranks: fails_on(ranks, (2,))) == [("no reward on 2", {"prompts": ["a"]}, 2)] * 3


def test_ranks_that_drift_apart_are_told() -> None:
    apart = on_ranks(2, lambda ranks: check_same(ranks, "the norm", [1.0, 2.0 + 1e-4 * ranks.rank]))
    assert all(isinstance(error, RunFailed) for error in apart)
    assert "the norm must be the same on all ranks, got 2.0 on rank 0 and 2.0001 on rank 1" in str(apart[0])
    assert on_ranks(2, lambda ranks: check_same(ranks, "the norm", [1.0 + 1e-9 * ranks.rank])) == [None, None]


def test_memory_that_runs_out_in_an_exchange_is_no_rank_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr("torch.distributed.all_gather_object", full)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        Ranks(0, 2).all(1)


def dies(ranks: Ranks) -> str:
    ranks.all(0)
    if ranks.rank == 1:
        os._exit(9)
    return ranks.told("never")


def test_a_rank_that_is_gone_is_told_by_the_others() -> None:
    _, gone, other = on_ranks(3, dies)
    assert gone is None
    assert isinstance(other, RankLost)
    assert "a process of this run is gone (it said nothing more); the same command goes on" in str(other)
