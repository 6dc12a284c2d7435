"""Operations of an update, counted by hand."""

from types import SimpleNamespace

import pytest

from safelab.app.cli import main
from safelab.app.dry_run.estimate import batches
from safelab.app.dry_run.time import hours, on_a_cpu, operations, time_lines, value_operations
from support.runs import resolved

SHAPE = SimpleNamespace(vocab_size=10, hidden_size=4, tie_word_embeddings=False)
TIED = SimpleNamespace(vocab_size=10, hidden_size=4, tie_word_embeddings=True)


def counted(shape: SimpleNamespace, *overrides: str) -> float:
    config = resolved("rollout.batch_size=8", "optimizer.epochs=2", "updates=10", *overrides)
    return operations(config, batches(config), 140, shape, 5)


def test_an_online_update_writes_scores_twice_and_learns_three_passes_an_epoch() -> None:
    # 100 weights multiply: 140 less the table of 10 x 4. 8 rows of 5 tokens, 1 + 2 + 2 x 3 passes, 2 operations each.
    assert counted(SHAPE) == 2 * 100 * 5 * 8 * 9
    assert counted(TIED) == 2 * 140 * 5 * 8 * 9


def test_a_value_network_scores_once_and_learns_three_passes_an_epoch() -> None:
    config = resolved("rollout.batch_size=8", "optimizer.epochs=2", "updates=10")
    assert value_operations(config, batches(config), 70, 5) == 2 * 70 * 5 * 8 * 7


@pytest.mark.parametrize(("override", "passes"), [
    ("policy.gradient_checkpointing=true", 4), ("policy/adapter=lora", 2),
])  # fmt: skip
def test_recomputing_costs_a_pass_and_an_adapter_saves_one(override: str, passes: int) -> None:
    model = (
        []
        if "gradient" in override
        else ["policy=local", "policy.path=x", "data=text", "data.path=x", "reward=released_heuristic"]
    )
    assert counted(SHAPE, *model, override) == 2 * 100 * 5 * 8 * (1 + 2 + 2 * passes)


def test_a_second_gradient_costs_as_much_as_the_first_and_a_second_reference_a_pass() -> None:
    assert counted(SHAPE, "algorithm=gr") == 2 * 100 * 5 * 8 * (1 + 2 + 2 * 6)
    assert counted(SHAPE, "algorithm=ema_pg") == 2 * 100 * 5 * 8 * (1 + 3 + 2 * 3)


def test_an_offline_update_learns_from_pairs_and_writes_where_it_is_measured() -> None:
    # 4 pairs are 8 answers: the reference and three passes; 8 responses in one update of two, 3 passes.
    asked = ["algorithm=dpo", "pairs.batch_size=4", "pairs.evaluate_every=2"]
    assert counted(SHAPE, *asked) == pytest.approx(2 * 100 * 5 * (8 * 4 + 8 * 3 * 0.5))


def test_hours() -> None:
    assert hours(3.6e17) == pytest.approx(1.0)


def test_hours_are_a_bound_from_below_and_say_what_is_left_out() -> None:
    text = "\n".join(time_lines(3.6e17, 20, cpu=False))
    assert "  hours in all, at least             20\n" in text
    assert "  10^12 operations in all            7.2e+06\n" in text
    said = " ".join(text.split())
    for left_out in ("attention's own products", "the reward model", "reading memory while the policy writes"):
        assert left_out in said
    assert "if 100 * 10^12 operations a second are reached" in said
    assert "rank" not in said


def test_a_cpu_gets_operations_and_no_hours() -> None:
    found = list(time_lines(3e12, 10, cpu=True))
    rows = dict(line.rsplit(maxsplit=1) for line in found if line.startswith("  "))
    assert {name.strip(): float(value) for name, value in rows.items()} == {
        "10^12 operations per update": 3.0, "10^12 operations in all": 30.0,
    }  # fmt: skip
    assert "no hours, for here it runs on a CPU" in " ".join(found)


@pytest.mark.parametrize(("device", "gpus", "cpu"), [
    ("cpu", 0, True), ("cpu", 2, True), ("auto", 0, True), ("auto", 1, False), ("cuda:0", 1, False), ("mps", 0, False),
])  # fmt: skip
def test_what_runs_on_a_cpu(device: str, gpus: int, cpu: bool) -> None:
    assert on_a_cpu(device, gpus) is cpu


@pytest.mark.parametrize(("device", "gpus", "hours_said"), [("auto", 0, False), ("auto", 1, True), ("cpu", 1, False)])
def test_the_command_tells_hours_where_there_is_a_gpu(
    device: str, gpus: int, hours_said: bool, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert main(["train", f"device={device}", "world=small", f"output_dir={tmp_path}", "dry_run=true"]) == 0
    said = capsys.readouterr().out
    assert ("hours in all, at least" in said) is hours_said
    assert "10^12 operations in all" in said
