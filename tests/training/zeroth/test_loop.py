"""Runs by votes: measured as online runs are, the same in pieces, without a backward pass, and they learn."""

import json
import math
from pathlib import Path

import pytest
import torch

from safelab.parts.policy.adapter.adaptive_lora import factors
from safelab.training.lifecycle import checkpoint
from support.runs import algorithms_by_votes, by_votes, numbers, parts_of, run, small, trained

ALGORITHMS = algorithms_by_votes()
ADAPTER = ["policy/adapter=lora_head"]


def test_there_are_such_algorithms() -> None:
    assert ALGORITHMS == ["zbcpg", "zpg"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_starts_sane_and_counts_what_it_spends(algorithm: str, tmp_path: Path) -> None:
    _, state, rows = trained(by_votes(tmp_path, f"algorithm={algorithm}", "optimizer.oracle.votes=3"))
    assert [row["update"] for row in rows] == [0, 1, 2]
    assert [row["episodes"] for row in rows] == [16, 32, 48]  # of both policies
    assert rows[-1]["votes"] == sum(row["oracle/votes"] for row in rows) == state.counters.votes
    assert all(row["oracle/votes"] == round(3 * 8 * (1 - row["oracle/tie_share"])) for row in rows)
    assert abs(rows[0]["kl/ref_token_exact"]) < 1e-6 < rows[-1]["kl/ref_token_exact"]
    assert all(row["policy/step_norm"] == pytest.approx(row["policy/lr"] * row["policy/grad_norm"]) for row in rows)
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert all(row["crash/reward"] in (0, 1) for row in rows)


def test_the_first_row_is_that_of_a_run_by_a_loss(tmp_path: Path) -> None:
    """Before any weight has moved the same seed writes the same responses to the same prompts."""
    by_loss = trained(small(tmp_path, "algorithm=ppo", "updates=1"))[2][0]
    own = trained(by_votes(tmp_path, "updates=1"))[2][0]
    shared = {name for name in own if name in by_loss and not name.startswith(("time/", "speed/", "memory/"))}
    assert {"reward/mean", "kl/ref_token_exact", "policy/entropy_token", "response/length_mean"} <= shared
    shared -= {"policy/grad_norm", "policy/lr", "episodes", "tokens"}
    assert {name: own[name] for name in shared} == {name: by_loss[name] for name in shared}


def test_no_backward_pass_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **options: object) -> None:
        raise AssertionError("a backward pass")

    monkeypatch.setattr(torch.autograd, "backward", refused)
    monkeypatch.setattr(torch.autograd, "grad", refused)
    assert len(trained(by_votes(tmp_path))[2]) == 3


def test_the_step_is_the_rate_times_the_estimate(tmp_path: Path) -> None:
    config = by_votes(tmp_path, "updates=1", "optimizer.max_grad_norm=2.0")
    before = flat(parts_of(config))
    parts, _, (row,) = trained(config)
    assert row["policy/grad_norm"] > 2.0
    assert row["policy/step_norm"] == pytest.approx(2.0 * row["policy/lr"])
    assert float((flat(parts) - before).norm()) == pytest.approx(row["policy/step_norm"], rel=1e-3)


@pytest.mark.parametrize(
    ("noise", "adapter", "file"), [("own", "none", "model"), ("same", "lora_head", "adapter_model")]
)
def test_a_resumed_run_writes_the_rows_of_an_uninterrupted_one(
    noise: str, adapter: str, file: str, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    settings = ["checkpoint.every=2", f"optimizer.noise={noise}", f"policy/adapter={adapter}"]
    whole, rows = run(by_votes(tmp_path / "whole", *settings, "updates=5"))
    cut = by_votes(tmp_path / "cut", *settings, "updates=3")
    run(cut)
    resumed, again = run({**cut, "updates": 5})
    assert resumed.status == "finished"
    assert numbers(again) == numbers(rows)
    last = [checkpoint.newest(one.directory / "checkpoints")[0] for one in (whole, resumed)]
    assert len({(path / "policy" / f"{file}.safetensors").read_bytes() for path in last if path}) == 1


def test_an_adapter_that_cuts_its_updates_does_so_by_votes_too(tmp_path: Path) -> None:
    adapter = ["policy/adapter=adaptive_lora", "policy.adapter.rank=4", "policy.adapter.every=2", "optimizer.mu=1.0"]
    parts, _, rows = trained(by_votes(tmp_path, *adapter, "updates=4"))
    assert [row["update"] for row in rows if "adapter/rank_mean" in row] == [1, 3]
    for b, a in factors(parts.policy.module).values():
        directions = int((torch.linalg.svdvals(b @ a) > 1e-6).sum())
        assert 1 <= directions <= rows[3]["adapter/rank_max"] < 4


def test_a_checkpoint_of_before_there_were_votes_is_gone_on_with(tmp_path: Path) -> None:
    """A run by a loss, whose counters then lacked them."""
    config = small(tmp_path, "algorithm=ppo", "updates=2")
    outcome, _ = run(config)
    path, _ = checkpoint.newest(outcome.directory / "checkpoints")
    assert path is not None
    saved = json.loads((path / "state.json").read_text())
    assert saved["counters"].pop("votes") == 0
    (path / "state.json").write_text(json.dumps(saved))
    (path / checkpoint.MANIFEST).write_text(json.dumps(checkpoint.hashes(path)))
    resumed, rows = run({**config, "updates": 3})
    assert (resumed.status, len(rows)) == ("finished", 3)


def test_it_learns_to_emit_a_given_token(tmp_path: Path) -> None:
    """With few weights to move, the same noise and voters that see clearly."""
    settings = [
        *ADAPTER, "rollout.batch_size=32", "optimizer.perturbations=8", "optimizer.mu=1.0", "optimizer.lr=0.3",
        "optimizer.oracle.link_temperature=0.2", "optimizer.noise=same", "updates=13", "rollout.max_new_tokens=4",
    ]  # fmt: skip
    rows = trained(by_votes(tmp_path, *settings))[2]
    assert rows[-1]["reward/mean"] > rows[0]["reward/mean"] + 0.4


def flat(parts) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in parts.policy.module.parameters()]).clone()
