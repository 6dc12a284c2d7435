"""How long an update takes where its rollout is written beside training, against one after the other.

    python -m scripts.bench.beside [--write SECONDS] [--updates N]

No engine is there: one that writes for SECONDS is played by a sampler that sleeps and then gives a rollout that was
written before. So the numbers say what the loop makes of the two times, and nothing of vLLM.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from safelab.contracts import Policy, Sampler
from safelab.types import Greedy, PromptBatch, Rollout
from scripts.bench import update

SKIPPED = 1
"""Updates at the beginning that do not count: the first writes two rollouts."""


@dataclass(frozen=True, kw_only=True)
class Sleeper(Sampler):
    """Sleeps for ``seconds`` and gives ``ready``, as if it had been written to these prompts."""

    seconds: float
    ready: Rollout
    aside: bool
    batch_size: int
    samples_per_prompt: int = 1
    staleness: int = 1

    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """The same tokens every time."""
        time.sleep(self.seconds)
        return replace(self.ready, prompts=prompts)

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """Nobody asks for it here."""
        raise NotImplementedError

    def beside(self, policy: Policy) -> "Sampler | None":
        """Itself: it reads no weights."""
        return self if self.aside else None


def seconds_of(parts: Any, write: float, updates: int) -> dict[str, float]:
    """Median seconds of an update in either order, and of its training alone (an engine that needs no time)."""
    from safelab.training.loop import train_update
    from safelab.training.rollouts import draw_prompts, roll_out
    from safelab.training.state import initial_state

    ready = roll_out(parts, draw_prompts(parts, 0), 0)
    ready = replace(ready, logp_rollout_tok=torch.full(ready.ids.shape, -1.0))
    size = parts.rollout.batch_size
    found = {}
    for name, seconds, aside in (("train", 0.0, False), ("one after the other", write, False), ("beside", write, True)):
        sleeper = Sleeper(seconds=seconds, ready=ready, aside=aside, batch_size=size)
        changed = replace(parts, rollout=sleeper)
        state, taken = initial_state(changed), []
        # Not the first, which would ask whether the tokens have the probabilities that they are said to have.
        state = replace(state, counters=state.counters.model_copy(update={"update": 1}))
        for _ in range(updates + SKIPPED):
            step = train_update(changed, state)
            state = step.state
            taken.append(step.row["time/total_s"])
        found[name] = median(taken[SKIPPED:])
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Print the three times, and the two between which they lie."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=float, default=1.0, help="seconds that the engine is said to write")
    parser.add_argument("--updates", type=int, default=5, help="that count, of each")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        update.make_model(Path(folder), 32)
        parts = update.parts_of(update.config_for(Path(folder), "rollout.staleness=1"))
        found = seconds_of(parts, asked.write, asked.updates)
    print(f"writing {asked.write:.3f} s, training {found['train']:.3f} s")
    print(f"one after the other {found['one after the other']:.3f} s, their sum {asked.write + found['train']:.3f}")
    print(f"beside training     {found['beside']:.3f} s, the longer {max(asked.write, found['train']):.3f}")
    return found


if __name__ == "__main__":
    main()
