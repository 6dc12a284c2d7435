"""Updates on the stand-in for a GPU: no operation mixes devices, the rows are the CPU's, and the host waits seldom.

``test_on_a_device`` runs it in a process of its own: once torch went back through a graph on another device, a process
may not fork, as other tests do. All presets: ``pytest tests/system/on_a_device.py``.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from safelab.app.config.build import build, validate
from safelab.contracts import Context
from safelab.training.loop import train_loop
from safelab.training.state import initial_state
from safelab.training.updates import update_of
from support.folders import NO_CACHE
from support.pairs import offline
from support.runs import algorithms, numbers, small, trained
from support.standin import DEVICE, Mixed, Wait, standin

# The most that there may be. One more is a mistake; whoever saves one lowers the number.
PER_TOKEN = 2
"""While it writes: transformers asks whether the mask has padding, the loop whether all rows have ended."""
PER_ROLLOUT = 15
"""Before the first token and after the last: what is sent, and the responses that come back."""
PER_PASS = 6
"""Of models outside a rollout: the rows' lengths come back, and where they stand in the stream is sent in pieces."""
PER_ENCODING = 8
"""In ``parts/policy`` outside a rollout: prompts and groups, and of pairs the answers, are sent."""
PER_STEP = 1
"""The sums and norms of a minibatch, which must be finite before a weight moves."""
PER_STEP_OF = {"frpo": 2, "bapo": 3, "clip_cov": 3, "kl_cov": 2}
"""The same for objectives that must know a number, or search among the tokens."""
PER_UPDATE = 16
"""All else: times, ends, rewards, signals, what the update learns from, counts, weights, row, samples."""

MODELS = ("parts/policy/", "pretrained/")

USUAL = ["ppo", "safe_released", "bapo", "dpo"]
ALSO = {
    "lora": ["algorithm=safe", "policy/adapter=lora", "policy.dtype=bfloat16", "policy.gradient_checkpointing=true",
             "optimizer.minibatches=2", "optimizer.micro_batch_size=3"],
    "target_kl": ["algorithm=ppo", "optimizer.target_kl=1e-4"],
    "preview": ["algorithm=safe", "controller/preview=cap", "optimizer.lr=1e-2"],
    "stale": ["algorithm=grpo", "rollout.samples_per_prompt=4", "rollout.staleness=2"],
    "fixed cache": ["algorithm=rloo", "rollout.samples_per_prompt=4", "rollout.decoding=static"],
    "polyak": ["algorithm=safe", "critic.read_at=per_token", "critic.polyak_rate=0.1", "advantage=gae"],
}  # fmt: skip


def on_the_device(config: dict[str, Any]) -> tuple[list[dict[str, Any]], Counter[Wait]]:
    """The rows of a run, and the waits of its last update: the first looks at more."""
    rows: list[dict[str, Any]] = []
    with standin() as waits:
        validate(config)
        parts = build(config, Context(seed=config["seed"], device=DEVICE, cache=NO_CACHE))
        for step in train_loop(parts, initial_state(parts), update_of(parts)):
            rows.append(step.row)
            seen = Counter(waits)
            waits.clear()
    return rows, seen


def on_the_cpu(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the same run with the attention that a device has which torch does not know."""
    with sdpa_kernel(SDPBackend.MATH):
        return trained(config)[2]


def composed(name: str, folder: Path, *overrides: str) -> dict[str, Any]:
    copies = [] if name in ("ppo", "safe") else ["rollout.samples_per_prompt=4"]
    make, own = (offline, []) if name in algorithms(offline=True) else (small, copies)
    return make(folder, f"algorithm={name}", "updates=2", "samples.every=1", *own, *overrides)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in USUAL else pytest.mark.slow)
        for name in [*algorithms(offline=False), *algorithms(offline=True)]
    ],
)
def test_an_update_makes_the_cpus_rows_and_waits_seldom(name: str, tmp_path: Path) -> None:
    config = composed(name, tmp_path)
    rows, waits = on_the_device(config)
    assert numbers(rows) == numbers(on_the_cpu(config))

    sampling = [wait for wait in waits.elements() if wait.sampling]
    reading = [wait for wait in waits.elements() if not wait.sampling and wait.line.startswith(MODELS)]
    others = [wait for wait in waits.elements() if not wait.sampling and not wait.line.startswith(MODELS)]
    rollouts = 2 if name == "remax" else 1
    steps = 1 if "preference" in str(rows[0]) else config["optimizer"]["epochs"] * config["optimizer"]["minibatches"]
    tokens = config["rollout"]["max_new_tokens"]
    at_most("a rollout", sampling, rollouts * (PER_ROLLOUT + PER_TOKEN * tokens))
    at_most("the policy's passes", reading, PER_ENCODING + PER_PASS * (3 + steps))
    at_most("an update", others, PER_UPDATE + PER_STEP_OF.get(name, PER_STEP) * steps)


def at_most(where: str, waits: list[Wait], allowed: int) -> None:
    """Fail with the lines that wait, where there are more waits than ``allowed``."""
    lines = "\n".join(f"  {count} x {wait.what}: {wait.line}" for wait, count in Counter(waits).most_common())
    assert len(waits) <= allowed, (
        f"{where} must wait at most {allowed} times for the device, got {len(waits)}:\n{lines}"
    )


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case == "lora" else pytest.mark.slow) for case in ALSO]
)
def test_nothing_is_mixed_with_other_options_either(case: str, tmp_path: Path) -> None:
    config = small(tmp_path, "updates=2", *ALSO[case])
    rows, _ = on_the_device(config)
    assert numbers(rows) == numbers(on_the_cpu(config))


def test_the_stand_in_refuses_a_mixture_and_names_every_wait() -> None:
    with standin() as waits:
        here, there = torch.ones(3, device=DEVICE), torch.ones(3)
        with pytest.raises(Mixed, match=r"aten.add.Tensor had tensors of standin:0 and of the CPU"):
            here + there
        with pytest.raises(Mixed):
            torch.stack([here.sum(), there.sum()])
        assert not waits
        assert float((here + there.sum()).sum()) == 12.0  # a number of the CPU may take part
        assert here[here > 0].tolist() == [1.0, 1.0, 1.0]
        assert torch.equal(there.to(DEVICE).cpu(), there)
    found = Counter(wait.what for wait in waits.elements())
    assert found == {"a number": 1, "a shape": 1, "numbers": 2, "a tensor from the CPU": 1}


def test_a_new_question_is_told_by_its_line() -> None:
    with standin() as waits:
        float(torch.ones(2, device=DEVICE).sum())
    with pytest.raises(
        AssertionError, match=r"at most 0 times for the device, got 1:\n +1 x a number: outside safelab"
    ):
        at_most("an update", [*waits.elements()], 0)
