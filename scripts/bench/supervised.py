"""Time of a training step of ``safelab sft``, ``reward-model`` and ``value-model``, with padding and without.

    .venv/bin/python -m scripts.bench.supervised [--rounds 5] [--threads 1] [--clock cpu]

The random Qwen2 of ``update``, on pairs with HH-RLHF's prompt and answer lengths; batches and passes as in ``conf/``.
Both take turns, a step on one batch each; a ratio is the median of the rounds' ratios.
"""

import argparse
import random
import statistics
import string
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.bench import lengths
from scripts.bench.turns import CLOCKS, ratio_of, timed
from scripts.bench.update import VOCABULARY, save_model, save_tokenizer

MAX_TOKENS = lengths.MAX_PROMPT + lengths.MAX_ANSWER + 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Print milliseconds of a step and the ratio, lesson by lesson."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    flags = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(flags.threads)
    with TemporaryDirectory() as name:
        directory = Path(name)
        save_model(directory, ends=False)
        save_tokenizer(directory, VOCABULARY)
        for lesson in ("sft", "reward_model", "value_model"):
            print(compared(lesson, directory, flags.rounds, flags.clock))


def compared(name: str, model: Path, rounds: int, clock: str) -> str:
    """One line of the table."""
    from safelab.supervised.loop import Recipe, learn

    times: dict[str, list[float]] = {"none": [], "auto": []}
    made = {packing: loaded(name, model, packing) for packing in times}
    for number in range(-1, rounds):
        for packing in random.Random(number).sample(sorted(times), 2):
            lesson, options = made[packing]
            batch = pairs(options.batch_size, number)
            recipe = Recipe(
                steps=1, warmup_steps=0, lr=options.lr, weight_decay=0.0, max_grad_norm=options.max_grad_norm,
                micro_batch_size=options.micro_batch_size,
            )  # fmt: skip

            def step(lesson: Any = lesson, batch: Any = batch, recipe: Recipe = recipe) -> object:
                return learn(lesson, [batch], recipe, lambda _: None)

            taken = timed(step, CLOCKS[clock])
            if number >= 0:  # the first warms up
                times[packing].append(taken)
    found = ratio_of(times["none"], times["auto"])
    padded, packed = (statistics.median(taken) for taken in times.values())
    return f"{name:12} {padded:6.0f} ms with padding, {packed:6.0f} ms without: {found} times"


def loaded(name: str, model: Path, packing: str) -> tuple[Any, Any]:
    """The lesson on the YAML's numbers, and these."""
    import torch
    import yaml

    from safelab.supervised import loading
    from safelab.supervised.options import RewardModelOptions, SupervisedOptions

    values = yaml.safe_load(Path(f"conf/{name}.yaml").read_text())
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    changed = {"adapter": {"name": "none"}, "threads": 1, "model": str(model), "output": "unused", "packing": packing}
    kind = RewardModelOptions if name == "reward_model" else SupervisedOptions
    options = kind(**{**own, **changed, "max_tokens": MAX_TOKENS})
    return getattr(loading, f"load_{name}")(options, torch.device("cpu")), options


def pairs(count: int, number: int) -> list[Any]:
    """Pairs of HH-RLHF's lengths, a letter a token; other ones for every number."""
    from safelab.types import Pair

    draw = random.Random(number)
    rows = draw.sample(lengths.read(), count)
    others = [answer for _, answer in draw.sample(lengths.read(), count)]

    def text(length: int) -> str:
        return "".join(draw.choices(string.ascii_lowercase, k=length))

    return [
        Pair(prompt=text(prompt), chosen=text(chosen), rejected=text(rejected))
        for (prompt, chosen), rejected in zip(rows, others, strict=True)
    ]


if __name__ == "__main__":
    main()
