"""Time of sampling with each way of decoding, on the model of the update benchmark: same prompts, turns in one process.

.venv/bin/python -m scripts.bench.decoding [--rounds 10] [--threads 1]
"""

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

WAYS = ("dynamic", "static", "compiled")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    flags = parser.parse_args(arguments)
    import torch

    from safelab.maths.seeds import row_seeds
    from scripts.bench.update import config_for, make_model, parts_of, timed

    torch.set_num_threads(flags.threads)
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        make_model(directory, prompt=16)
        parts = parts_of(config_for(directory, "policy.max_prompt_tokens=16"))
        prompts = parts.policy.encode(parts.data.prompts(0, 16), range(16))
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(flags.rounds + 1):
            for way in WAYS:
                write = partial(parts.policy.generate, prompts, 32, seeds=row_seeds(number, rows=16), decoding=way)
                taken = timed(write)
                if number:  # the first round compiles
                    times[way].append(taken)
    for way, each in times.items():
        print(f"{way:10} median {statistics.median(each):6.1f} ms  least {min(each):6.1f} ms")


if __name__ == "__main__":
    main()
