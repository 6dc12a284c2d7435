"""Runs that learn from pairs: sane from the start, the same in pieces, and measured as online runs are."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelab.contracts import Triage
from safelab.errors import RunFailed
from safelab.training.components import Components
from safelab.training.offline.loop import offline_update
from safelab.training.offline.stages import draw_pairs, make_pairs, pair_terms, pieces
from safelab.training.offline.triage import sorted_pairs, triage_of
from safelab.training.state import initial_state
from safelab.types import Pair, PairBatch
from support.pairs import offline
from support.runs import algorithms, numbers, parts_of, run, small, trained

ALGORITHMS = algorithms(offline=True)
UNSORTED = [name for name in ALGORITHMS if name != "trace"]  # it knows the pairs of its source only


def test_there_are_algorithms_of_both_kinds() -> None:
    assert {"dpo", "cdpo", "ipo", "chi_po", "var", "trace"} <= {*ALGORITHMS}
    assert {"ppo", "safe"} <= {*algorithms(offline=False)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_starts_sane_and_stays_finite(algorithm: str, tmp_path: Path) -> None:
    _, state, rows = trained(offline(tmp_path, f"algorithm={algorithm}"))
    assert [row["update"] for row in rows] == [0, 1, 2]
    assert [row["pairs"] for row in rows] == [4, 8, 12]
    assert state.counters.episodes == 24
    first = rows[0]
    assert abs(first["kl/ref_token_exact"]) < 1e-6
    assert first["preference/accuracy"] == 0.0
    assert first["preference/margin"] == pytest.approx(0.0, abs=1e-5)
    assert rows[2]["preference/margin"] != 0.0
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert all(row["crash/reward"] in (0, 1) for row in rows)


@pytest.mark.parametrize("algorithm", ["dpo", "cdpo", "chi_po"])
def test_at_the_start_a_logistic_loss_is_log_2(algorithm: str, tmp_path: Path) -> None:
    rows = trained(offline(tmp_path, f"algorithm={algorithm}", "updates=1"))[2]
    assert rows[0]["preference/loss"] == pytest.approx(math.log(2.0), abs=1e-6)


def test_the_first_row_is_that_of_an_online_run(tmp_path: Path) -> None:
    """Before any weight has moved the same seed writes the same responses to the same prompts."""
    online = trained(small(tmp_path, "algorithm=ppo", "updates=1"))[2][0]
    own = trained(offline(tmp_path, "algorithm=dpo", "updates=1"))[2][0]
    shared = [name for name in own if name in online and not name.startswith(("time/", "speed/", "memory/"))]
    assert {"reward/mean", "kl/ref_token_exact", "policy/entropy_token", "response/length_mean"} <= {*shared}
    shared.remove("policy/grad_norm")
    assert {name: own[name] for name in shared} == {name: online[name] for name in shared}


def test_what_is_measured_moves_nothing(tmp_path: Path) -> None:
    often = trained(offline(tmp_path, "algorithm=dpo", "updates=5", "pairs.evaluate_every=1"))[2]
    seldom = trained(offline(tmp_path, "algorithm=dpo", "updates=5", "pairs.evaluate_every=2"))[2]
    assert ["reward/mean" in row for row in seldom] == [True, False, True, False, True]
    learnt = [{name: value for name, value in row.items() if name.startswith("preference/")} for row in often]
    assert learnt == [{name: value for name, value in row.items() if name.startswith("preference/")} for row in seldom]
    assert seldom[4]["reward/mean"] == often[4]["reward/mean"]


def test_it_learns_what_the_pairs_prefer(tmp_path: Path) -> None:
    settings = ["algorithm=dpo", "updates=60", "optimizer.lr=3e-3", "pairs.evaluate_every=59", "rollout.batch_size=32"]
    rows = trained(offline(tmp_path, *settings))[2]
    assert rows[-1]["preference/accuracy"] == 1.0
    assert rows[59]["reward/mean"] > rows[0]["reward/mean"] + 0.1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_accumulation_changes_no_gradient(algorithm: str, tmp_path: Path) -> None:
    settings = [f"algorithm={algorithm}", *(["preference.normalise_over=batch"] if algorithm == "var" else [])]
    whole = gradient(*first_batch(parts_of(offline(tmp_path, *settings))))
    cut = parts_of(offline(tmp_path, *settings, "optimizer.micro_batch_size=3"))
    assert len(pieces(cut, first_batch(cut)[1])) == 4
    assert torch.allclose(gradient(*first_batch(cut)), whole, atol=1e-5, rtol=1e-4)
    assert whole.norm() > 1e-2


@pytest.mark.parametrize("algorithm", UNSORTED)
def test_the_order_of_pairs_changes_no_gradient(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, f"algorithm={algorithm}"))
    pairs = draw_pairs(parts, 0)
    turned = gradient(parts, make_pairs(parts, pairs[::-1]))
    assert torch.allclose(gradient(parts, make_pairs(parts, pairs)), turned, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_padding_changes_no_gradient(algorithm: str, tmp_path: Path) -> None:
    parts, batch = first_batch(parts_of(offline(tmp_path, f"algorithm={algorithm}")))
    filler = torch.full_like(batch.ids[..., :1], 5).expand(-1, -1, 3)
    wider = replace(
        batch,
        ids=torch.cat([batch.ids, filler], dim=-1),
        mask=torch.cat([batch.mask, torch.zeros_like(filler, dtype=torch.bool)], dim=-1),
    )
    assert torch.allclose(gradient(parts, wider), gradient(parts, batch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("algorithm", ["dpo", "ipo", "chi_po"])
def test_equal_answers_give_no_gradient(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, f"algorithm={algorithm}"))
    same = [Pair(prompt="a b", chosen="good c", rejected="good c"), Pair(prompt="d", chosen="e", rejected="e")]
    assert gradient(parts, make_pairs(parts, same)).abs().max() < 1e-6


@pytest.mark.parametrize("algorithm", UNSORTED)
def test_answers_of_one_token_are_learnt_from(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, f"algorithm={algorithm}"))
    short = [Pair(prompt="a", chosen="good", rejected="bad", chosen_ended=False, rejected_ended=False)]
    batch = make_pairs(parts, [*short, Pair(prompt="b", chosen="", rejected="c")])
    assert batch.mask.sum(dim=-1).tolist() == [[1, 1], [1, 2]]
    found = gradient(parts, batch)
    assert torch.isfinite(found).all()
    assert found.norm() > 0


def test_the_references_numbers_are_the_policys_at_the_start(tmp_path: Path) -> None:
    parts, batch = first_batch(parts_of(offline(tmp_path)))
    terms = pair_terms(parts, batch, len(batch))
    assert torch.equal(terms.logp, batch.logp_ref)
    # An answer by hand: one pass over prompt and answer alone, without padding.
    pair = draw_pairs(parts, 0)[0]
    ids, mask = parts.policy.encode_responses([pair.prompt], [pair.chosen], [True], None)
    prompts = parts.policy.encode([pair.prompt], [0])
    hidden = parts.policy.model.hidden(prompts.ids, prompts.mask, ids, mask)
    alone = parts.policy.model.token_stats(hidden[:, :-1], ids).logp_tok.sum()
    assert terms.logp[0, 0].item() == pytest.approx(alone.item(), abs=1e-5)


def test_long_answers_are_cut_and_lose_their_end_token(tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, "algorithm=dpo", "pairs.max_response_tokens=2"))
    batch = make_pairs(parts, [Pair(prompt="a", chosen="a b c", rejected="d")])
    assert batch.mask.sum(dim=-1).tolist() == [[2, 2]]
    assert parts.policy.ended(batch.ids[0], batch.mask[0]).tolist() == [False, True]


def test_var_reads_the_runs_reward_and_dpo_does_not(tmp_path: Path) -> None:
    reward = first_batch(parts_of(offline(tmp_path, "algorithm=var")))[1].reward
    assert reward is not None
    assert (reward[:, 0] > reward[:, 1]).all()
    batch = first_batch(parts_of(offline(tmp_path, "algorithm=dpo")))[1]
    assert batch.reward is None
    assert batch.weight is None


@pytest.mark.parametrize("algorithm", ["dpo", "var", "trace"])
def test_a_resumed_run_writes_the_rows_of_an_uninterrupted_one(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    settings = [f"algorithm={algorithm}", "checkpoint.every=2", "pairs.evaluate_every=2"]
    _, whole = run(offline(tmp_path / "whole", *settings, "updates=7"))
    cut = offline(tmp_path / "cut", *settings, "updates=4")
    run(cut)
    resumed, rows = run({**cut, "updates": 7})
    assert resumed.status == "finished"
    assert numbers(rows) == numbers(whole)


def test_lora_is_trained_against_the_model_below_it(tmp_path: Path) -> None:
    rows = trained(offline(tmp_path, "algorithm=dpo", "policy/adapter=lora", "optimizer.lr=1e-2"))[2]
    assert rows[0]["preference/loss"] == pytest.approx(math.log(2.0), abs=1e-6)
    assert rows[-1]["preference/loss"] < math.log(2.0)


def test_a_policy_that_does_not_read_as_its_reference_is_refused(tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path))
    with torch.no_grad():
        next(parts.policy.module.parameters()).add_(0.5)
    with pytest.raises(RunFailed, match="policy and reference must score an answer alike"):
        offline_update(parts, initial_state(parts))


def first_batch(parts: Components) -> tuple[Components, PairBatch]:
    batch = make_pairs(parts, draw_pairs(parts, 0))
    return parts, sorted_pairs(parts, triage_of(parts, Triage()), batch, 0)


def gradient(parts: Components, batch: PairBatch) -> torch.Tensor:
    """The gradient of the loss, flat, added up over the pieces of ``batch``."""
    parts.policy.module.zero_grad()
    for piece in pieces(parts, batch):
        pair_terms(parts, piece, len(batch)).loss.backward()
    return torch.cat([weight.grad.flatten() for weight in parts.policy.module.parameters()])
