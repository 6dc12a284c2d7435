"""Seconds of one update on so many GPUs, from published speeds: the arithmetic behind ``scripts.bench.scale``.

Rows are divided by the GPUs; nothing overlaps, neither exchanges with computing nor one exchange with another.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A GPU, and what joins it to the others. Per second: ``peak`` operations; all else is bytes, in one direction.

    ``mfu``, ``bandwidth_share``, ``link_share``: what is reached of ``peak``, ``bandwidth`` and the links.
    Between machines an exchange goes through all ``gpus`` adapters of a machine at once, as NCCL's rings do.

    Ref: H100 SXM 80GB: https://www.nvidia.com/en-us/data-center/h100/ (bfloat16 without sparsity; NVLink's 900 GB/s and
    PCIe 5's 128 GB/s are both directions together); an adapter of 400 Gb/s per GPU:
    https://docs.nvidia.com/dgx/dgxh100-user-guide/; bytes of an exchange:
    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
    """

    peak: float = 989e12
    bandwidth: float = 3.35e12
    memory: float = 80e9
    gpus: int = 8
    inside: float = 450e9
    outside: float = 50e9
    latency: float = 30e-6
    mfu: float
    bandwidth_share: float
    link_share: float

    def link(self, gpus: int) -> float:
        """Bytes per second that an exchange between ``gpus`` GPUs goes at."""
        slowest = self.inside if gpus <= self.gpus else min(self.inside, self.gpus * self.outside)
        return self.link_share * slowest


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A model in numbers: weights of all layers' products, of the head, operations and cache of attention."""

    width: int
    products: int
    head: int
    attention: int
    cache: int

    @classmethod
    def of(cls, shape: Any) -> "Sizes":
        """Of a Llama's or a Qwen2's configuration; biases and norms are left out."""
        width, heads, keys = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads
        size = getattr(shape, "head_dim", None) or width // heads
        layer = 2 * width * heads * size + 2 * width * keys * size + 3 * width * shape.intermediate_size
        return cls(
            width=width,
            products=shape.num_hidden_layers * layer,
            head=width * shape.vocab_size,
            attention=4 * shape.num_hidden_layers * heads * size,  # a query with a key, and the key's value
            cache=2 * shape.num_hidden_layers * keys * size,
        )

    def forward(self, tokens: float, seen: float) -> float:
        """Operations of the layers on ``tokens`` that see ``seen`` others on average."""
        return tokens * (2 * self.products + self.attention * seen)


@dataclass(frozen=True, kw_only=True)
class Work:
    """An update: rows and tokens, how it is cut, and bytes of the model; ``adapter``: only one trains.

    ``layers``, ``trained_layers``: bytes of the layers' weights and of their gradients; ``rest``: bytes of the
    gradients that are whole on every GPU, which without sharding are all; ``sent``: of the weights for rollout GPUs.
    """

    rows: int
    prompt: int
    response: int
    epochs: int
    minibatches: int
    piece: int
    checkpointing: bool
    adapter: bool
    itemsize: int
    number_of_layers: int
    layers: int
    trained_layers: int
    rest: int
    sent: int
    sharded: bool

    @property
    def tokens(self) -> int:
        """Of a row."""
        return self.prompt + self.response

    def pieces(self, gpus: int) -> int:
        """Forward passes over the rows of one GPU."""
        return ceil(ceil(self.rows / gpus) / self.piece)


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Of one update. ``beside``: the rollout is written while the update before it trains."""

    write: float
    score: float
    train: float
    exchange: float
    send: float
    beside: bool

    @property
    def total(self) -> float:
        """Of the whole."""
        learn = self.score + self.train + self.exchange
        return self.send + (max(self.write, learn) if self.beside else self.write + learn)


def update(machine: Machine, sizes: Sizes, work: Work, gpus: int, writers: int = 0) -> Seconds:
    """One update by ``gpus`` that train; ``writers``: GPUs of their own for the rollout, 0 for the same ones."""
    return Seconds(
        write=write_split(machine, sizes, work, writers) if writers else write(machine, sizes, work, gpus),
        score=score(machine, sizes, work, gpus),
        train=train(machine, sizes, work, gpus),
        exchange=exchange(machine, work, gpus, gathers_to_write=not writers),
        send=work.sent / machine.link(gpus + writers) if writers else 0.0,
        beside=writers > 0,
    )


def write(machine: Machine, sizes: Sizes, work: Work, gpus: int) -> float:
    """Each GPU writes rows of its own: a pass over the prompts, then a step for each token."""
    rows = ceil(work.rows / gpus)
    return _prompts(machine, sizes, work, rows) + work.response * _step(machine, sizes, work, rows)


def write_split(machine: Machine, sizes: Sizes, work: Work, gpus: int) -> float:
    """GPUs that only write split one model (``rollout.devices``); rows without room wait for their turn.

    In each layer the GPUs add up the states twice.

    Raises:
        ValueError: there is no room for a row.
    """
    at_once = room(machine, sizes, work, gpus)
    if at_once < 1:
        raise ValueError("they must have room for the weights and a row")
    turns = ceil(work.rows / at_once)
    rows = work.rows / turns
    each = _prompts(machine, sizes, work, rows) + work.response * _step(machine, sizes, work, rows)
    sums = 2 * work.number_of_layers if gpus > 1 else 0
    state = 2 * (gpus - 1) / gpus * work.itemsize * sizes.width / machine.link(gpus)
    starts = machine.latency * sums * (1 + work.response)
    return turns * (each / gpus + sums * rows * work.tokens * state + starts)


def room(machine: Machine, sizes: Sizes, work: Work, gpus: int) -> int:
    """Rows that GPUs which only write have room for beside the weights, in nine tenths of their memory."""
    weights, row = work.itemsize * (sizes.products + 2 * sizes.head), work.itemsize * sizes.cache * work.tokens
    return max(0, int((0.9 * gpus * machine.memory - weights) // row))


def _prompts(machine: Machine, sizes: Sizes, work: Work, rows: float) -> float:
    return sizes.forward(rows * work.prompt, work.prompt / 2) / (machine.peak * machine.mfu)


def _step(machine: Machine, sizes: Sizes, work: Work, rows: float) -> float:
    """One token of each row: reading weights and cache, or computing; the slower."""
    seen = work.prompt + work.response / 2
    computing = (sizes.forward(rows, seen) + 2 * rows * sizes.head) / (machine.peak * machine.mfu)
    read = work.itemsize * (sizes.products + sizes.head + rows * seen * sizes.cache)
    return max(computing, read / (machine.bandwidth * machine.bandwidth_share))


def score(machine: Machine, sizes: Sizes, work: Work, gpus: int) -> float:
    """A pass of the policy and one of the reference over every row; the head on responses only."""
    return 2 * ceil(work.rows / gpus) * _row(sizes, work) / (machine.peak * machine.mfu)


def train(machine: Machine, sizes: Sizes, work: Work, gpus: int) -> float:
    """The epochs: a pass forward, twice that back, or once where only an adapter trains; layers again if recomputed.

    The exact KL asks the head once more, for the reference.
    """
    passes = 2 if work.adapter else 3
    again = _layers(sizes, work) if work.checkpointing else 0.0
    row = passes * _row(sizes, work) + again + 2 * work.response * sizes.head
    return work.epochs * ceil(work.rows / gpus) * row / (machine.peak * machine.mfu)


def exchange(machine: Machine, work: Work, gpus: int, gathers_to_write: bool) -> float:
    """All exchanges between the GPUs that train: bytes that each sends over the link, and the start of each.

    A sum over N goes twice around, 2 (N - 1) / N of its bytes, and a gathering or dividing once. With sharding every
    pass gathers the layers: of policy and reference to score, then forward and back in each piece of each epoch, where
    the layers' gradients are divided too; and once to write.
    """
    if gpus == 1:
        return 0.0
    share, steps, pieces = (gpus - 1) / gpus, work.epochs * work.minibatches, work.pieces(gpus)
    moved, starts = 2 * share * work.rest * steps, float(steps * ceil(work.rest / (work.itemsize * 2**25)))
    if work.sharded:
        trained = max(pieces, work.minibatches) * work.epochs
        gathered = 2 * pieces + 2 * trained + gathers_to_write
        moved += share * (gathered * work.layers + trained * work.trained_layers)
        starts += work.number_of_layers * (gathered + trained)
    return moved / machine.link(gpus) + machine.latency * starts


def _layers(sizes: Sizes, work: Work) -> float:
    return sizes.forward(work.tokens, work.tokens / 2)


def _row(sizes: Sizes, work: Work) -> float:
    return _layers(sizes, work) + 2 * work.response * sizes.head
