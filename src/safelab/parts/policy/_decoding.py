"""Plain sampling with a key-value cache: what ``generate`` does with its processors off, without its set-up per token.

Each row has numbers of its own, drawn on the CPU from a seed of its own, see ``_drawing``. So a response depends on its
prompt, the weights and that seed; not on the rows beside it, on how many of them still run, on the device or the number
of processes, but for the rounding of the logits. Rows that have ended therefore leave the batch.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.errors import Diverged
from safelab.maths.wide import device_of_float64
from safelab.parts.policy._drawing import drawn, uniforms

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
    written = Written(batch, ends, pad, device)
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
            rows = written.leave(wanted)
            read.keep(rows)
            positions, step_ids = positions[rows], step_ids[rows]
            noise = None if noise is None else noise[rows.to(noise.device)]
    # Asked once, at the end: a question at each token would hold up the device.
    if not bool(torch.cat(tops).isfinite().all()):
        raise Diverged("the policy's probabilities must be finite, got NaN while it wrote; its weights are no good")
    return written.all()


class Written:
    """What each row has written, though rows leave.

    Args:
        batch: rows at the beginning.
        ends: tokens that end a row; what it writes after one is ``pad``.
        pad: the token of what a row did not write.
        device: where the tokens are.
    """

    def __init__(self, batch: int, ends: Sequence[int], pad: int, device: torch.device) -> None:
        self._pad = pad
        self._stops = torch.tensor(ends, device=device)
        self._all = torch.empty(batch, 0, dtype=torch.long, device=device)
        self._rows = list(range(batch))
        self._ended = [False] * batch
        self._new: list[Tensor] = []

    def add(self, tokens: Int[Tensor, "k"]) -> None:
        """The next token of each row that is still there."""
        self._new.append(tokens)

    def ask(self) -> int:
        """How many rows have not ended. The host waits for the device."""
        new = torch.stack(self._new, dim=1)
        self._new.clear()
        answers = torch.isin(new, self._stops).any(dim=1).tolist()
        self._ended = [before or now for before, now in zip(self._ended, answers, strict=True)]
        columns = torch.full((len(self._all), new.shape[1]), self._pad, device=new.device)
        columns[torch.tensor(self._rows, device=new.device)] = new
        self._all = torch.cat([self._all, columns], dim=1)
        return self._ended.count(False)

    def leave(self, wanted: int) -> Int[Tensor, "k"]:
        """The rows that stay, numbered as they were: all that have not ended, and others up to ``wanted``."""
        order = sorted(range(len(self._rows)), key=self._ended.__getitem__)
        stay = sorted(order[:wanted])
        self._rows = [self._rows[place] for place in stay]
        self._ended = [self._ended[place] for place in stay]
        return torch.tensor(stay, device=self._all.device)

    def all(self) -> Int[Tensor, "b t"]:
        """Every row's tokens, ``pad`` after its end, without columns in which no row has any."""
        ending = torch.isin(self._all, self._stops).long()
        inside = ending.cumsum(dim=1) - ending == 0
        return self._all.masked_fill(~inside, self._pad)[:, : int(inside.sum(dim=1).max())]
