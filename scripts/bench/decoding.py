"""Time of sampling with each way of decoding: turns in one process, on the model of the update benchmark or another.

    .venv/bin/python -m scripts.bench.decoding [--rounds 10] [--threads 1]
    .venv/bin/python -m scripts.bench.decoding --ragged [--rows 64] [--group 1] [--model DIR] [--ways dynamic static]

``--ragged``: prompts and responses of very different lengths, drawn from exponential distributions with HH-RLHF's
means (133 tokens of at most 512, and 37 of at most 128); each row is made to end where its length says. "whole" is
sampling that reads all prompts in one padded pass and in which every row stays until the last one ends.
"""

import argparse
import random
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

WAYS = ("dynamic", "static", "compiled")
PROMPT, RESPONSE = (133, 512), (37, 128)
"""Mean and most tokens."""


class Ending:
    """A memory whose model ends each row after its number of tokens; ``leaving``: whether rows may leave then."""

    def __init__(self, memory: Any, lengths: Sequence[int], end: int, leaving: bool) -> None:
        self.memory, self.lengths, self.end, self.leaving = memory, lengths, end, leaving

    def begin(self, mask: Any, alike: Sequence[int] | None = None) -> "EndingReading":
        """The memory's own reading, around which the end token gets its probability."""
        return EndingReading(self, self.memory.begin(mask, alike), mask.new_tensor(self.lengths), len(mask))


class EndingReading:
    """One rollout of it."""

    def __init__(self, around: Ending, reading: Any, left: Any, rows: int) -> None:
        self.around, self.reading, self.left, self.rows, self.movable = around, reading, left, rows, reading.movable

    def __call__(self, ids: Any, positions: Any, stop: int) -> Any:
        """The model's logits, but for the end token's."""
        logits = self.reading(ids, positions, stop).clone()
        self.left = self.left - 1
        logits[:, self.around.end] = logits.new_full((), -1e9).where(self.left != 0, 1e9)
        return logits

    def rows_for(self, live: int) -> int:
        """The memory's answer, or all."""
        return self.reading.rows_for(live) if self.around.leaving else self.rows

    def keep(self, rows: Any) -> None:
        """These rows alone."""
        self.reading.keep(rows)
        self.left, self.rows = self.left[rows], len(rows)


def lengths_of(rows: int, mean: int, most: int, draw: random.Random) -> list[int]:
    """Lengths of at least one token."""
    return [min(most, 1 + int(draw.expovariate(1 / mean))) for _ in range(rows)]


def prompts_of(lengths: Sequence[int], group: int, vocabulary: int, draw: random.Random) -> tuple[Any, Any]:
    """Random tokens padded on the left, and their mask; each row ``group`` times."""
    import torch

    width = max(lengths)
    rows = [[0] * (width - length) + draw.choices(range(3, vocabulary), k=length) for length in lengths]
    mask = torch.arange(width) >= width - torch.tensor(lengths)[:, None]
    return torch.tensor(rows).repeat_interleave(group, 0), mask.repeat_interleave(group, 0)


def ragged(module: Any, flags: argparse.Namespace) -> None:
    """Time whole batches against rows that leave, on the same lengths, and print tokens a second."""
    import torch

    from safelab.maths.seeds import row_seeds
    from safelab.parts.policy._decoding import sample
    from safelab.parts.policy._growing_cache import Growing
    from safelab.parts.policy._static_cache import Reserved
    from scripts.bench.update import timed

    room = PROMPT[1] + RESPONSE[1]
    rates: dict[str, list[float]] = {f"{way} {kind}": [] for way in flags.ways for kind in ("whole", "leaving")}
    memories = {}
    for name in rates:
        way, kind = name.split()
        packing = kind == "leaving"
        grows = way == "dynamic"
        memories[name] = Growing(module, packing) if grows else Reserved(module, room, way, packing=packing)
    draw = random.Random(0)
    alike = [row - row % flags.group for row in range(flags.rows)]
    for number in range(flags.rounds + 1):
        prompts = lengths_of(flags.rows // flags.group, *PROMPT, draw)
        ids, mask = prompts_of(prompts, flags.group, module.config.vocab_size, draw)
        lengths = lengths_of(flags.rows, *RESPONSE, draw)
        for name, taken in rates.items():
            write = partial(
                sample, Ending(memories[name], lengths, 1, name.endswith("leaving")), ids.to(module.device),
                mask.to(module.device), alike=alike, max_new_tokens=RESPONSE[1], sampling_temperature=1.0, ends=[1],
                pad=0, seeds=row_seeds(number, rows=flags.rows),
            )  # fmt: skip
            milliseconds = timed(write)
            if number:  # the first round compiles
                taken.append(1e3 * sum(lengths) / milliseconds)
    print(f"{flags.rows} rows, {flags.group} to a prompt, {module.device}, {torch.get_num_threads()} threads")
    for name, each in rates.items():
        print(f"{name:17} median {statistics.median(each):8.1f} tokens/s")
    for way in flags.ways:
        ratios = [a / b for a, b in zip(rates[f"{way} leaving"], rates[f"{way} whole"], strict=True)]
        print(f"{way}: leaving / whole {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")


def even(directory: Path, flags: argparse.Namespace) -> None:
    """Time each way on prompts and responses of one length."""
    from safelab.maths.seeds import row_seeds
    from scripts.bench.update import config_for, parts_of, timed

    parts = parts_of(config_for(directory, "policy.max_prompt_tokens=16"))
    prompts = parts.policy.encode(parts.data.prompts(0, 16), range(16))
    times: dict[str, list[float]] = {way: [] for way in flags.ways}
    for number in range(flags.rounds + 1):
        for way in flags.ways:
            write = partial(parts.policy.generate, prompts, 32, seeds=row_seeds(number, rows=16), decoding=way)
            taken = timed(write)
            if number:  # the first round compiles
                times[way].append(taken)
    for way, each in times.items():
        print(f"{way:10} median {statistics.median(each):6.1f} ms  least {min(each):6.1f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--ragged", action="store_true")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--group", type=int, default=1, help="rows to a prompt")
    parser.add_argument("--model", type=Path, help="a folder (the update benchmark's random model)")
    parser.add_argument("--device", default="cpu", help="of --ragged")
    flags = parser.parse_args(arguments)
    import torch
    from transformers import AutoModelForCausalLM

    from scripts.bench.update import make_model

    torch.set_num_threads(flags.threads)
    with TemporaryDirectory() as folder:
        make_model(Path(folder), prompt=16)
        if not flags.ragged:
            even(Path(folder), flags)
            return
        dtype = torch.float32 if flags.device == "cpu" else torch.bfloat16
        module = (
            AutoModelForCausalLM.from_pretrained(flags.model or folder, dtype=dtype, trust_remote_code=False)
            .eval()
            .to(flags.device)
        )
        ragged(module, flags)


if __name__ == "__main__":
    main()
