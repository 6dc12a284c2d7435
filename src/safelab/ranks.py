"""The processes that train one run together: whose rows are whose, and what they tell each other.

Each rank writes, rewards, scores and differentiates rows of its own. What is small (tokens, masks, log-probabilities,
rewards, values) is gathered, so that every rank holds it whole and computes the same from it: whitening, groups,
normalisers, controllers, counts, guards and detectors need no thought of ranks. Gradients are summed, as the losses
are sums over a count of the whole minibatch.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, chain, groupby
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from safelab.errors import RankLost, RunFailed, SafelabError

T = TypeVar("T")

BUCKET = 2**25
"""Numbers of the gradient that are sent together: large enough to be fast, small beside a model."""


def alone() -> str | None:
    """What a run without other processes says of them: none is lost."""
    return None


@dataclass(slots=True)
class Ranks:
    """``rank`` of ``size`` processes; one process exchanges nothing, and none of this costs it anything.

    ``local``: this process's number on its own machine. ``lost``: what became of a process that is gone, None as long
    as none is known to be. ``seconds``: spent in exchanges since ``taken``, waiting for slower ranks included.
    ``waits_since``: when the exchange began that we are in. ``failures``: torch's group where those meet that have
    failed, who wait for each other for a short time only.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    lost: Callable[[], str | None] = alone
    seconds: float = 0.0
    waits_since: float | None = None
    failures: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process keeps the run's records and decides what comes next."""
        return self.rank == 0

    def own(self, count: int) -> slice:
        """The rows of ``count`` that are ours: neighbours, as ``torch.tensor_split`` cuts them."""
        small, longer = divmod(count, self.size)
        start = self.rank * small + min(self.rank, longer)
        return slice(start, start + small + (self.rank < longer))

    def share(self, rows: Tensor) -> Tensor:
        """Our part of a minibatch's ``rows``: by position, so that no rank has more than one row more than another."""
        return rows[self.own(len(rows))]

    def whole(self, own: Tensor, fill: float = 0) -> Tensor:
        """The rows of all ranks, in order.

        Args:
            own: ours; those of others may be of another number, and of another width in the second axis.
            fill: what stands in the columns by which ours are narrower than the widest.
        """
        if self.size == 1:
            return own
        shapes = self.all(tuple(own.shape))
        sizes = [max(axis) for axis in zip(*shapes, strict=True)]
        # Bytes stand for truth values, which not every backend sends.
        kind = torch.uint8 if own.dtype == torch.bool else own.dtype
        sent = own.new_full(sizes, fill, dtype=kind)
        sent[tuple(slice(0, length) for length in own.shape)] = own.to(kind)
        with self._exchange():
            got = [torch.empty_like(sent) for _ in shapes]
            dist.all_gather(got, sent)
        return torch.cat([part[: shape[0]] for part, shape in zip(got, shapes, strict=True)]).to(own.dtype)

    def joined(self, own: Sequence[T]) -> list[T]:
        """The plain values of all ranks, in order."""
        return [*own] if self.size == 1 else [*chain.from_iterable(self.all([*own]))]

    def all(self, value: T) -> list[T]:
        """Each rank's ``value``, which can be pickled, in the ranks' order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self._exchange():
            dist.all_gather_object(values, value)
        return values

    def told(self, value: T) -> T:
        """The first rank's ``value``, on every rank."""
        if self.size == 1:
            return value
        box = [value]
        with self._exchange():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def agreed(self, work: Callable[[], T]) -> T:
        """What ``work`` gives here, unless it fails on some rank: then it has failed on all.

        Raises:
            SafelabError: the failure of the first rank where it failed.
        """
        if self.size == 1:
            return work()
        done, failure = [], None
        try:
            done.append(work())
        except SafelabError as error:
            failure = error
        failures = [one for one in self.all(failure) if one is not None]
        if failures:
            raise failure or failures[0]
        return done[0]

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """A run that fails in it fails on every rank, which all see the same numbers; else the ranks cannot go on.

        Raises:
            RunFailed: it has failed on every rank.
            RankLost: it has failed here alone, while others wait in an exchange that will not come.
        """
        try:
            yield
        except RankLost:
            raise
        except RunFailed as error:
            if self.size > 1:
                try:
                    dist.barrier(self.failures)
                except RuntimeError:  # what it raises where another is not there in time
                    raise RankLost(
                        f"rank {self.rank} failed where the others did not ({error}); the same command goes on from "
                        "the last checkpoint"
                    ) from error
            raise

    def add_gradients(self, *modules: nn.Module) -> None:
        """Every gradient becomes its sum over the ranks; a weight without one on any rank stays without."""
        if self.size == 1:
            return
        for module in modules:
            # Those of parts are added as soon as they are there, by what spreads the layers.
            weights = [weight for weight in module.parameters() if weight.requires_grad and not is_part(weight)]
            with self._exchange():
                there = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.uint8)
                dist.all_reduce(there, dist.ReduceOp.MAX)
                for bucket in buckets([weight for weight, has in zip(weights, there.tolist(), strict=True) if has]):
                    _add(bucket)

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        """The norm over all of them together, whole ones and parts; the same on every rank."""
        parts = [local(tensor) for tensor in tensors if is_part(tensor)]
        if not parts:
            return nn.utils.get_total_norm(tensors)
        whole = nn.utils.get_total_norm([tensor for tensor in tensors if not is_part(tensor)])
        others = nn.utils.get_total_norm(parts).double().square()
        with self._exchange():
            dist.all_reduce(others)
        return (others + whole.to(others).square()).sqrt().float()

    def taken(self) -> float:
        """The seconds that exchanges took since the last time."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Time it; another process that is gone is told as what it is.

        Raises:
            RankLost: one is.
        """
        start = self.waits_since = time.perf_counter()
        try:
            yield
        except torch.OutOfMemoryError:
            raise  # ours, and nobody is gone
        except RuntimeError as error:  # what torch.distributed raises where a connection is closed
            raise self.loss() from error
        finally:
            self.waits_since = None
        self.seconds += time.perf_counter() - start

    def loss(self) -> RankLost:
        """What to raise where another process is gone."""
        said = self.lost() or "it said nothing more"
        return RankLost(f"a process of this run is gone ({said}); the same command goes on from the last checkpoint")


def is_part(tensor: Tensor) -> bool:
    """Whether this rank holds only its part of it: a ``DTensor``, whose module takes long to import."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """What of a tensor lies here: in the same memory."""
    held: Any = tensor.detach()
    here: Tensor = held.to_local() if is_part(tensor) else held
    return here


def buckets(weights: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Neighbours of one type and device whose gradients are sent together."""
    for _, group in groupby(weights, lambda weight: (weight.dtype, weight.device)):
        alike = [*group]
        ends = accumulate(weight.numel() for weight in alike)
        for _, bucket in groupby(zip(alike, ends, strict=True), lambda one: one[1] // BUCKET):
            yield [weight for weight, _ in bucket]


def _add(weights: Sequence[nn.Parameter]) -> None:
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for weight, summed in zip(weights, torch.split(flat, [weight.numel() for weight in weights]), strict=True):
        weight.grad = summed.view_as(weight)


def check_same(ranks: Ranks, name: str, numbers: Sequence[float], tolerance: float = 1e-6) -> None:
    """See that a number that every rank computes for itself is the same on all.

    Raises:
        RunFailed: the ranks are apart, which no later number would show.
    """
    first, *others = ranks.all([*numbers])
    # Against the first rank's, so that all come to one verdict.
    for rank, given in enumerate(others, start=1):
        for its, theirs in zip(first, given, strict=True):
            if not abs(its - theirs) <= tolerance * max(abs(its), abs(theirs)):
                raise RunFailed(
                    f"{name} must be the same on all ranks, got {its!r} on rank 0 and {theirs!r} on rank {rank}: a "
                    "part draws or computes something by itself on each; use ranks=1"
                )
