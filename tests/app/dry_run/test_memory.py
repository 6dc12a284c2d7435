"""The foretold peak is what torch's allocator holds at most, by its own reports."""

import sys
from pathlib import Path

import pytest

from safelab.app.dry_run.memory import Need

SCRIPTS = Path(__file__).parents[3] / "scripts" / "bench"
LORA = ("policy/adapter=lora", "policy.adapter.rank=4")


@pytest.mark.parametrize(
    "overrides",
    [("optimizer.micro_batch_size=4",), LORA, (*LORA, "policy.gradient_checkpointing=true", "algorithm=ppo")],
    ids=["micro-batches", "lora", "checkpointing"],
)
def test_the_peak_of_a_run_is_within_15_percent(
    overrides: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    import memory

    case = memory.Case(
        family="llama", width=64, layers=3, vocabulary=8192, batch=8, prompt=32, response=48, overrides=overrides
    )
    memory.make_model(tmp_path, case)
    found = memory.measure(tmp_path, case, "measured")
    assert found["foretold"] == pytest.approx(found["measured"], rel=0.15)
    for name in ("memory", "update"):
        sys.modules.pop(name)


def test_the_parts_of_the_peak() -> None:
    need = Need(
        parameters=0, trained=0, weights=100, averages=20, gradients=10, head_gradients=3, cache=5, logits=7,
        activations=40, recomputed=0, layers=4, pieces=1,
    )  # fmt: skip
    assert need.held == 120
    assert need.backward == 40 + 7 + 2 * 3
    assert need.peak == 120 + 53
    # In pieces the gradients of the first are there while the second is computed.
    assert Need(**{**fields(need), "pieces": 2}).peak == 120 + 10 + 53
    # Few activations: the last layer's backward pass, with all gradients, or the step with as much again.
    assert Need(**{**fields(need), "activations": 4, "logits": 0, "head_gradients": 0}).peak == 120 + 2 * 10
    # Checkpointing: a layer comes back when the logits are gone.
    assert Need(**{**fields(need), "recomputed": 30}).backward == 40 + 30
    # Long prompts: sampling.
    assert Need(**{**fields(need), "cache": 500}).peak == 620


def fields(need: Need) -> dict[str, int]:
    return {name: getattr(need, name) for name in Need.__slots__}
