"""Plain sampling with a key-value cache: what ``generate`` does with its processors off, without its set-up per token.

Each row has numbers of its own, drawn on the CPU from a seed of its own, see ``maths.drawing``. So a response depends
on its prompt, the weights and that seed; not on the rows beside it, on how many of them still run, on the device or the
number of processes, but for the rounding of the logits. Rows that have ended therefore leave the batch.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.errors import Diverged
from safelab.maths.drawing import drawn, uniforms
from safelab.maths.wide import device_of_float64

LEAST_ROWS = 8
"""A batch gets no smaller: a step of fewer rows takes as long, since reading the weights takes its time."""

TOKENS_BETWEEN_QUESTIONS = {"cpu": 1}
"""Tokens after which the host asks which rows have ended, by kind of device; ``OTHERWISE`` on one that runs ahead of
the host, which would wait for the answer."""

OTHERWISE = 8


@runtime_checkable
class Reading(Protocol):
    """How a model reads one rollout. ``movable``: whether rows can leave."""

    movable: bool

    def __call__(self, ids: Int[Tensor, "b n"], positions: Int[Tensor, "b n"], stop: int) -> Float[Tensor, "b vocab"]:
        """Logits after the next ``n`` columns, the last of which is column ``stop - 1``."""

    def rows_for(self, live: int) -> int:
        """With how many rows to go on where ``live`` have not ended."""

    def keep(self, rows: Int[Tensor, "k"]) -> None:
        """Go on with these rows, numbered as they are now."""


@runtime_checkable
class Memory(Protocol):
    """Keys and values of what was read so far."""

    def begin(self, mask: Int[Tensor, "b s"], alike: Sequence[int] | None = None) -> Reading:
        """How a model reads a new rollout.

        Args:
            mask: covers the prompt's columns and all that may be written.
            alike: for each row the first row with the same prompt; None where nobody knows.
        """


@torch.no_grad()
def sample(
    memory: Memory,
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    *,
    alike: Sequence[int] | None,
    max_new_tokens: int,
    sampling_temperature: float,
    ends: Sequence[int],
    pad: int,
    seeds: Sequence[int] | None,
) -> Int[Tensor, "b t"]:
    """Response tokens, ``pad`` after a row's end; as many columns as the longest response has tokens.

    ``seeds``: one for each row; None takes the likeliest token every time.

    Raises:
        Diverged: a probability is not finite.
    """
    device = prompt_ids.device
    batch, width = prompt_ids.shape
    mask = torch.ones(batch, width + max_new_tokens, dtype=torch.long, device=device)
    mask[:, :width] = prompt_mask
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    noise = None if seeds is None else uniforms(seeds, max_new_tokens).to(device_of_float64(device))
    read = memory.begin(mask, alike)
    written = Written(batch, ends)
    tops: list[Tensor] = []
    asking = TOKENS_BETWEEN_QUESTIONS.get(device.type, OTHERWISE)
    step_ids, start = prompt_ids, 0
    for count in range(1, max_new_tokens + 1):
        stop = start + step_ids.shape[1]
        logits = read(step_ids, positions[:, start:stop], stop)
        top = logits.amax(dim=-1)  # NaN passes through a maximum; -inf is a token ruled out
        tops.append(top)
        if noise is None:
            tokens = logits.argmax(dim=-1)
        else:
            tokens = drawn(logits, top, sampling_temperature, noise[:, count - 1])
        written.add(tokens)
        step_ids, start = tokens.unsqueeze(1), stop
        if count % asking and count < max_new_tokens:
            continue
        live = written.ask()
        if not live:
            break
        wanted = read.rows_for(live)
        if wanted < len(tokens) and count < max_new_tokens:
            rows = torch.tensor(written.leave(wanted), device=device)
            read.keep(rows)
            positions, step_ids = positions[rows], step_ids[rows]
            noise = None if noise is None else noise[rows.to(noise.device)]
    # Asked once, at the end: a question at each token would hold up the device.
    if not bool(torch.cat(tops).isfinite().all()):
        raise Diverged("the policy's probabilities must be finite, got NaN while it wrote; its weights are no good")
    return written.all(pad, device)


class Written:
    """What each row has written, though rows leave. It is kept on the host, which asks for it anyway.

    Args:
        batch: rows at the beginning.
        ends: tokens that end a row; what it writes after one is not kept.
    """

    def __init__(self, batch: int, ends: Sequence[int]) -> None:
        self._ends = frozenset(ends)
        self._responses: list[list[int]] = [[] for _ in range(batch)]
        self._rows = list(range(batch))
        self._new: list[Tensor] = []

    def add(self, tokens: Int[Tensor, "k"]) -> None:
        """The next token of each row that is still there."""
        self._new.append(tokens)

    def ask(self) -> int:
        """How many rows have not ended. The host waits for the device."""
        told = torch.stack(self._new, dim=1).tolist()
        self._new.clear()
        for row, tokens in zip(self._rows, told, strict=True):
            if not self._ended(row):
                end = next((count for count, token in enumerate(tokens, start=1) if token in self._ends), None)
                self._responses[row] += tokens[:end]
        return sum(not self._ended(row) for row in self._rows)

    def leave(self, wanted: int) -> list[int]:
        """The rows that stay, numbered as they were: all that have not ended, and others up to ``wanted``."""
        order = sorted(range(len(self._rows)), key=lambda place: self._ended(self._rows[place]))
        stay = sorted(order[:wanted])
        self._rows = [self._rows[place] for place in stay]
        return stay

    def all(self, pad: int, device: torch.device) -> Int[Tensor, "b t"]:
        """Every row's tokens, ``pad`` after its end."""
        longest = max(map(len, self._responses))
        return torch.tensor([tokens + [pad] * (longest - len(tokens)) for tokens in self._responses], device=device)

    def _ended(self, row: int) -> bool:
        tokens = self._responses[row]
        return bool(tokens) and tokens[-1] in self._ends
