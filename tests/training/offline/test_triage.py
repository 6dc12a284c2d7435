"""Sorting and weighing before the first update: against naive passes in float64, and what the run then minimises."""

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from safelab.app.config.build import problems
from safelab.contracts import Triage
from safelab.errors import DataError, RunFailed
from safelab.maths.triage import INVERT, PUNISH, RETAIN
from safelab.parts.pairs._drawn import DrawnPairs
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint
from safelab.training.offline.stages import draw_pairs, make_pairs, pair_terms, pieces
from safelab.training.offline.triage import all_pairs, gold_set, oracle_of, scores, sorted_pairs, triage_of
from safelab.training.state import initial_state
from safelab.types import Pair, PairBatch
from support.pairs import offline
from support.runs import parts_of, run, small, trained

TRACE = "algorithm=trace"
BETA, KL_COEF = 0.3, 0.1


def triaged(tmp_path: Path, *overrides: str) -> tuple[Components, Triage]:
    parts = parts_of(offline(tmp_path, TRACE, *overrides))
    return parts, triage_of(parts, Triage())


def first_batch(parts: Components, triage: Triage) -> PairBatch:
    return sorted_pairs(parts, triage, make_pairs(parts, draw_pairs(parts, 0)), 0)


def naive_logp(module: Any, parts: Components, pair: Pair, answer: str) -> list[torch.Tensor]:
    """Log-probabilities over the vocabulary at each token of one answer, from a plain pass, and that token's."""
    ids, mask = parts.policy.encode_responses([pair.prompt], [answer], [True], None)
    prompt = parts.policy.encode([pair.prompt], [0])
    own, ahead = ids[0][mask[0]], prompt.ids[0][prompt.mask[0]]
    logits = module(torch.cat([ahead, own])[None]).logits[0, len(ahead) - 1 : -1]
    logp = torch.log_softmax(logits, dim=-1)
    return [logp, torch.stack([logp[row, token] for row, token in enumerate(own)])]


def naive_pair(policy: Any, reference: Any, parts: Components, pair: Pair, bucket: int) -> torch.Tensor:
    """The loss of one pair, unweighted."""
    rho = []
    for answer in (pair.chosen, pair.rejected):
        told = naive_logp(reference, parts, pair, answer)[1].detach()
        rho.append((naive_logp(policy, parts, pair, answer)[1] - told).sum())
    if bucket == INVERT:
        return torch.log1p(torch.exp(-BETA * (rho[1] - rho[0])))
    return torch.log1p(torch.exp(BETA * rho[0])) + torch.log1p(torch.exp(BETA * rho[1]))


def doubled(parts: Components) -> Any:
    return deepcopy(parts.policy.module).double()


def test_each_conflicting_pair_weighs_what_its_gradient_helps_the_gold_set(tmp_path: Path) -> None:
    """Against plain passes in float64, one pair at a time."""
    parts, triage = triaged(tmp_path)
    policy, pairs = doubled(parts), all_pairs(parts)
    weights = [weight for weight in policy.parameters() if weight.requires_grad]

    def gradient(pair: Pair, bucket: int) -> torch.Tensor:
        found = torch.autograd.grad(naive_pair(policy, policy, parts, pair, bucket), weights, allow_unused=True)
        return torch.cat([part.flatten() for part in found if part is not None])

    gold = gold_set(parts, pairs, scores(parts, pairs, oracle_of))
    towards = sum(gradient(pair, INVERT) for pair in gold) / 5
    conflicts = [number for number, kind in enumerate(triage.bucket) if kind != RETAIN]
    alignment = [max(0.0, float(gradient(pairs[n], triage.bucket[n]) @ towards)) for n in conflicts]
    expected = [len(pairs) * value / sum(alignment) for value in alignment]
    assert len(gold) == len(conflicts) == 5
    assert [triage.weight[number] for number in conflicts] == pytest.approx(expected, rel=1e-3)
    assert min(expected) >= 0 < max(expected)


@pytest.mark.parametrize("cut", ["null", "2", "3"])
def test_the_loss_is_that_of_a_naive_loop(cut: str, tmp_path: Path) -> None:
    parts, triage = triaged(tmp_path, "pairs.batch_size=12", f"optimizer.micro_batch_size={cut}")
    with torch.no_grad():
        for number, weight in enumerate(parts.policy.module.parameters()):
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)))
    batch = first_batch(parts, triage)
    found = sum(pair_terms(parts, piece, 12).loss.item() for piece in pieces(parts, batch))

    policy, reference = doubled(parts), deepcopy(parts.policy.reference.module).double()
    conflict, kl, tokens = 0.0, 0.0, 0
    for number, pair in enumerate(all_pairs(parts)):
        if triage.bucket[number] != RETAIN:
            loss = naive_pair(policy, reference, parts, pair, triage.bucket[number])
            conflict += triage.weight[number] * loss.item() / 12
            continue
        for answer in (pair.chosen, pair.rejected):
            ours, theirs = (naive_logp(module, parts, pair, answer)[0] for module in (policy, reference))
            for row in range(len(ours)):
                kl += sum((p.exp() * (p - q)).item() for p, q in zip(theirs[row], ours[row], strict=True))
                tokens += 1
    assert kl > 0.01
    assert found == pytest.approx(conflict + KL_COEF * kl / tokens, rel=1e-4)


def test_what_is_found_is_in_every_row(tmp_path: Path) -> None:
    _, state, rows = trained(offline(tmp_path, TRACE))
    assert state.triage.bucket == (PUNISH, INVERT, RETAIN, PUNISH, RETAIN, RETAIN, INVERT, *[RETAIN] * 4, INVERT)
    for row in rows:
        assert [row[f"triage/{name}"] for name in ("retain", "invert", "punish")] == [7, 3, 2]
        assert row["triage/agreement"] == pytest.approx(11 / 12)
        assert row["triage/agreement_retain"] == pytest.approx(6 / 7)
        assert row["triage/agreement_invert"] == row["triage/agreement_punish"] == 1.0
        parts_of_loss = sum(row[f"preference/{name}_loss"] for name in ("invert", "punish", "retain"))
        assert row["preference/loss"] == pytest.approx(parts_of_loss, rel=1e-5)
    assert rows[0]["preference/retain_kl"] == pytest.approx(0.0, abs=1e-6)
    assert rows[2]["preference/retain_kl"] > 0


def test_inverted_pairs_are_learnt_and_retained_ones_held(tmp_path: Path) -> None:
    settings = ["updates=40", "optimizer.lr=1e-2", "pairs.batch_size=12", "pairs.evaluate_every=39"]
    held = trained(offline(tmp_path, TRACE, *settings, "preference.kl_coef=10.0"))[2][-1]
    free = trained(offline(tmp_path, TRACE, *settings, "preference.kl_coef=0.0"))[2][-1]
    assert held["preference/inverted_margin"] > 0.1
    assert held["preference/retain_kl"] < 0.5 * free["preference/retain_kl"]


def test_without_triage_weights_and_kl_it_is_dpo_on_exchanged_answers(tmp_path: Path) -> None:
    plain = ["preference.triage=all_inverted", "preference.weights=uniform", "preference.kl_coef=0.0"]
    parts, triage = triaged(tmp_path, *plain)
    assert triage.weight == pytest.approx([1.0] * 12)
    found = gradient(parts, first_batch(parts, triage))
    dpo = parts_of(offline(tmp_path, "algorithm=dpo", "preference.beta=0.3"))
    exchanged = [Pair(prompt=p.prompt, chosen=p.rejected, rejected=p.chosen) for p in draw_pairs(dpo, 0)]
    torch.testing.assert_close(found, gradient(dpo, make_pairs(dpo, exchanged)), atol=1e-6, rtol=1e-4)


def gradient(parts: Components, batch: PairBatch) -> torch.Tensor:
    loss = pair_terms(parts, batch, len(batch)).loss
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, [*parts.policy.module.parameters()])])


@pytest.mark.parametrize(("whole", "expected"), [("pairs", 12.0), ("one", 1.0)])
def test_the_weights_add_up_to_what_is_asked_for(whole: str, expected: float, tmp_path: Path) -> None:
    for weights in ("influence", "uniform"):
        _, triage = triaged(tmp_path, f"preference.weight_sum={whole}", f"preference.weights={weights}")
        assert sum(triage.weight) == pytest.approx(expected)


def test_gold_pairs_are_in_the_oracles_order_and_ties_are_left_out(tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, TRACE, "preference.gold_pairs=64"))
    pairs = all_pairs(parts)
    gold = torch.tensor([[0.0, 1.0], [1.0, 0.0]] + [[2.0, 2.0]] * 10)
    found = {(pair.chosen, pair.rejected) for pair in gold_set(parts, pairs, gold)}
    assert found == {(pairs[0].chosen, pairs[0].rejected), (pairs[1].rejected, pairs[1].chosen)}
    with pytest.raises(RunFailed, match="evaluator must tell the answers of some pair apart"):
        gold_set(parts, pairs, torch.zeros(12, 2))


def test_a_resumed_run_keeps_what_was_found_and_looks_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = offline(tmp_path, TRACE, "checkpoint.every=2", "updates=4")
    run(cut)
    monkeypatch.setattr("safelab.training.offline.triage.all_pairs", None)
    resumed, rows = run({**cut, "updates": 6})
    assert resumed.status == "finished"
    assert len(rows) == 6


def test_a_checkpoint_of_a_version_that_sorted_nothing_is_read(tmp_path: Path) -> None:
    config = offline(tmp_path, "algorithm=dpo", "updates=1")
    outcome, _ = run(config)
    path = outcome.directory / "checkpoints" / "update_000001"
    saved = json.loads((path / "state.json").read_text())
    del saved["triage"]
    (path / "state.json").write_text(json.dumps(saved))
    parts = parts_of(config)
    assert checkpoint.load(parts, initial_state(parts), path).triage == Triage()


def test_lora_is_weighed_by_the_weights_that_learn(tmp_path: Path) -> None:
    _, triage = triaged(tmp_path, "policy/adapter=lora")
    assert sum(triage.weight) == pytest.approx(12.0)
    assert trained(offline(tmp_path, TRACE, "policy/adapter=lora"))[2][2]["preference/loss"] > 0


def long_is_good(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    return [float(len(response.split())) for response in responses]


def silent(prompts: Sequence[str], responses: Sequence[str], answer: Sequence[str]) -> list[float]:
    return [0.0] * len(prompts)


def test_a_norm_without_conflict_is_told(tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, TRACE, "preference.invert_margin=9.0", "preference.punish_below=-9.0"))
    with pytest.raises(RunFailed, match="must have pairs that the reward's norm inverts or punishes, got none of 12"):
        triage_of(parts, Triage())


def test_a_reward_against_its_oracle_is_told(tmp_path: Path) -> None:
    against = "evaluator.of.name='training.offline.test_triage:long_is_good'"
    parts = parts_of(offline(tmp_path, TRACE, against, "preference.punish_below=-9.0"))
    with pytest.raises(RunFailed, match="reward and evaluator judge by opposite norms"):
        triage_of(parts, Triage())


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("evaluator=none",), "evaluator must be one of its options with preference=trace, whose gold set it labels"),
        (("policy.sharding=layers", "ranks=2"), "policy.sharding must be none with preference=trace"),
        (("pairs=none",), "pairs must be one of its options with preference=trace"),
        (("preference.kl_coef=-1.0",), "preference.kl_coef must be >= 0, got -1.0"),
        (("preference.weights=some",), "preference.weights must be"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(overrides: tuple[str, ...], told: str, tmp_path: Path) -> None:
    config = small(tmp_path, TRACE, *(["pairs=world"] if "pairs=none" not in overrides else []), *overrides)
    (line,) = [line for line in problems(config) if "reward" not in line.split()[0]]
    assert line.startswith(told)


def test_an_oracle_that_reads_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"prompt": "a b", "answer": "c"}\n')
    data = ["data=jsonl", f"data.path={tmp_path / 'data.jsonl'}"]
    config = offline(tmp_path, TRACE, "evaluator.of.name='training.offline.test_triage:silent'", *data)
    with pytest.raises(DataError, match="evaluator must read no column of the data where pairs are scored"):
        parts_of(config)


def test_a_source_that_does_not_number_its_pairs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DrawnPairs, "size", None)
    with pytest.raises(DataError, match="pairs must have a size and numbers"):
        parts_of(offline(tmp_path, TRACE))
