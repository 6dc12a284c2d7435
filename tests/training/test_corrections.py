"""What a correction does in an update, against loops over single tokens in float64."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelab.contracts import Correction
from safelab.errors import ConfigError
from safelab.options import State
from safelab.training.corrections import dropped_metrics, weight_metrics
from safelab.training.lifecycle.told import idle_correction
from safelab.training.losses import counts, loss_terms
from safelab.training.stages import score_tokens
from safelab.training.update import step
from support import toy
from support.objectives import MASK, NEW, OLD, component
from support.runs import numbers, parts_of, run, small, trained

ADVANTAGES = [-1.0, 0.5, -2.0]


def moved(threshold: float, shift: tuple[float, float, float] = (0.8, 0.8, -0.8), **given):
    """Parts with the mask, and a batch whose sampler found response i likelier than the policy by ``shift[i]``."""
    parts = toy.parts(correction=component("correction", "sequence_mask", threshold=threshold), **given)
    batch = toy.batch(parts)
    sampled = batch.logp_rollout_tok + torch.tensor(shift, dtype=torch.float64)[:, None]
    advantage_tok = torch.tensor(ADVANTAGES, dtype=torch.float64)[:, None] * batch.mask
    return parts, replace(batch, logp_rollout_tok=sampled, advantage_tok=advantage_tok)


def terms(parts, batch, kl_coef: float = 0.0):
    return loss_terms(parts, toy.plan(kl_coef), batch, counts(batch), objective=State())


def surrogate(parts, batch, without: set[int]) -> float:
    """The toy's loss -A r as a mean over all tokens, those of the responses ``without`` at 0."""
    found = [
        0.0 if row in without else -float(batch.advantage_tok[row, column])
        * math.exp(toy.log_softmax(parts.policy.module, before)[token] - float(batch.logp_old_tok[row, column]))
        for row, column, before, token in toy.tokens(batch)
    ]  # fmt: skip
    return sum(found) / len(found)


@pytest.mark.parametrize(("threshold", "without"), [(0.5, {0}), (0.9, set())])
def test_a_dropped_response_has_no_loss_and_stays_in_the_mean(threshold: float, without: set[int]) -> None:
    parts, batch = moved(threshold)
    assert terms(parts, batch).policy.item() == pytest.approx(surrogate(parts, batch, without), abs=1e-12)


def test_only_the_surrogate_is_dropped() -> None:
    """KL, entropy and the critic's loss are as without a correction, also where every response is left out."""
    parts, batch = moved(0.5, (0.8, 0.8, 0.8), controller=toy.controller("constant"))
    batch = replace(batch, advantage_tok=-batch.advantage_tok.abs())
    plain = replace(parts, correction=component("correction", "none"))
    found, expected = terms(parts, batch, 0.3), terms(plain, batch, 0.3)
    assert found.policy.item() == 0.0
    assert expected.policy.item() != 0.0
    for name in ("value", "entropy", "kl"):
        assert (name in found.weighted) == (name in expected.weighted)
    assert set(found.weighted) >= {"value", "entropy"}
    for name in ("value", "kl", "entropy", "clipped_sum", "ratio_sum"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    found.weighted["policy"].backward()
    assert all((weight.grad == 0).all() for weight in parts.policy.module.parameters())


def test_it_is_asked_anew_after_each_step() -> None:
    """The policy moves away from a bad response; the same batch then leaves it out."""
    parts, batch = moved(0.0, (0.0, 0.0, 0.0))
    assert terms(parts, batch).correction["dropped"] == 0
    state = toy.state(parts, lr=0.5)
    step(parts, state, batch, counts(batch), toy.plan(), True, None, 0)
    after = terms(parts, batch)
    drift = [
        sum(
            float(batch.logp_rollout_tok[row, column]) - toy.log_softmax(parts.policy.module, before)[token]
            for row, column, before, token in toy.tokens(batch)
            if row == response
        )
        / length
        for response, length in enumerate(toy.LENGTHS)
    ]
    expected = [response for response in (0, 2) if drift[response] > 0]
    assert expected
    assert after.correction["dropped"] == len(expected)
    assert after.policy.item() == pytest.approx(surrogate(parts, batch, set(expected)), abs=1e-12)
    assert after.correction["drift_bad"].item() == pytest.approx(drift[0] + drift[2], abs=1e-12)
    assert after.correction["drift_good"].item() == pytest.approx(drift[1], abs=1e-12)


def test_pieces_add_up_to_the_whole() -> None:
    parts, batch = moved(0.5)
    whole, made = terms(parts, batch), counts(batch)
    pieces = [loss_terms(parts, toy.plan(), batch.rows(slice(at, at + 1)), made, objective=State()) for at in range(3)]
    assert sum(piece.policy.item() for piece in pieces) == pytest.approx(whole.policy.item(), abs=1e-12)
    for name, total in whole.correction.items():
        assert sum(float(piece.correction[name]) for piece in pieces) == pytest.approx(float(total), abs=1e-12)


def test_the_metrics_of_the_mask_by_hand() -> None:
    parts, batch = moved(0.5)
    sums = {f"correction/{name}": float(total) for name, total in terms(parts, batch).correction.items()}
    assert dropped_metrics(sums) == {
        "correction/dropped_share": 1 / 2,  # the first of the two bad ones
        "correction/drift_bad": pytest.approx((0.8 - 0.8) / 2, abs=1e-12),
        "correction/drift_good": pytest.approx(0.8, abs=1e-12),
        "correction/kept_advantage": pytest.approx((0.5 - 2.0) / 2),
    }
    assert dropped_metrics({"ratio": 3.0}) == {}
    assert set(dropped_metrics({**sums, "correction/bad": 0.0})) == {
        "correction/drift_good",
        "correction/kept_advantage",
    }


class Wrong(Correction):
    """Answers with a shape that would broadcast."""

    def weigh(self, log_ratio_tok, mask):
        """Nothing."""

    def dropped(self, log_ratio_tok, advantage_seq, mask):
        """One for all."""
        return torch.tensor([True])


def test_an_answer_of_another_shape_is_told() -> None:
    parts, batch = moved(0.5)
    with pytest.raises(ConfigError, match=r"correction=wrong must return dropped of shape \[3\], got one of \[1\]"):
        terms(replace(parts, correction=Wrong(name="wrong")), batch)


def test_the_metrics_of_weights_by_hand(tmp_path: Path) -> None:
    """Ratios 1.2, 1.5, 0.944444, 0.75, 0.2: effective shares from an independent script."""
    parts = toy.parts(correction=component("correction", "mask"))
    written = toy.rollout((3, 2), logp_rollout_tok=OLD)
    base = toy.batch(parts, (3, 2))
    weights = component("correction", "mask").weigh(NEW - OLD, MASK)
    batch = replace(
        base,
        logp_rollout_tok=OLD,
        logp_old_tok=NEW,
        advantage_tok=torch.tensor([[1.0] * 3, [-1.0] * 3]),
        weight_tok=weights.weight_tok,
        corrected_tok=weights.corrected_tok,
    )
    scored = replace(score_tokens(parts, written, torch.zeros(2), None), logp_rollout_tok=OLD)
    found = {name: value.item() for name, value in weight_metrics(scored, batch).items()}
    assert found == {
        "correction/ratio_mean": pytest.approx((1.2 + 1.5 + 0.85 / 0.9 + 0.75 + 0.2) / 5),
        "correction/ratio_min": pytest.approx(0.2),
        "correction/ratio_max": pytest.approx(1.5),
        "correction/ratio_share": pytest.approx(0.814313, abs=1e-6),
        "correction/weight_mean": pytest.approx((1.2 + 1.5 + 0.85 / 0.9 + 0.75) / 5),
        "correction/weight_share": pytest.approx(0.750753, abs=1e-6),
        "correction/corrected_share": pytest.approx(0.2),
        "correction/corrected_gain": 0.0,
        "correction/corrected_loss": pytest.approx(0.2),
    }


DAPO = ("algorithm=dapo", "rollout.dynamic_sampling=0")
STALE = (*DAPO, "optimizer.lr=1e-2", "rollout.staleness=2", "objective.anchor=old", "updates=6")
MASKED = (*DAPO, "correction=sequence_mask", "correction.threshold=0.01", "optimizer.lr=1e-2", "updates=6")


def test_every_token_dropped_is_an_update_without_a_step_of_the_surrogate(tmp_path: Path) -> None:
    tight = ("correction=geometric", "correction.low=0.999999", "correction.high=1.000001")
    rows = trained(small(tmp_path, *STALE, *tight))[2]
    assert rows[-1]["correction/corrected_share"] == 1.0
    assert rows[-1]["correction/weight_share"] == 0.0
    assert rows[-1]["policy/loss"] == 0.0
    assert rows[-1]["policy/grad_norm"] == 0.0
    assert rows[-1]["correction/corrected_gain"] > 0.0
    assert rows[-1]["correction/corrected_loss"] > 0.0


def test_the_mask_acts_on_fresh_rollouts_after_the_first_pass(tmp_path: Path) -> None:
    rows = trained(small(tmp_path, *MASKED))[2]
    # Where all rewards of the batch are alike there is no bad response, and no share of them.
    assert any(row.get("correction/dropped_share", 0.0) > 0 for row in rows)
    assert all("correction/weight_mean" not in row and "correction/ratio_mean" not in row for row in rows)
    once = trained(small(tmp_path, *MASKED, "optimizer.epochs=1"))[2]
    plain = trained(small(tmp_path, *DAPO, "optimizer.lr=1e-2", "updates=6", "optimizer.epochs=1"))[2]
    own = ("correction/",)
    assert [{k: v for k, v in row.items() if not k.startswith(own)} for row in numbers(once)] == numbers(plain)


def test_the_mask_goes_with_the_ratio_to_the_sampler(tmp_path: Path) -> None:
    rows = trained(small(tmp_path, *MASKED, "rollout.staleness=2", "objective.anchor=rollout"))[2]
    assert rows[-1]["correction/dropped_share"] > 0
    assert rows[-1]["correction/ratio_mean"] > 0


@pytest.mark.parametrize(
    "overrides",
    [MASKED, (*STALE, "correction=geometric"), (*DAPO, "rollout=noisy", "rollout.staleness=1", "updates=6")],
    ids=["sequence_mask", "geometric", "noisy"],
)
def test_a_resumed_run_is_the_uninterrupted_one(overrides: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = small(tmp_path / "a", *overrides, "checkpoint.every=1")
    first = small(tmp_path / "b", *overrides, "checkpoint.every=1")
    assert run({**first, "updates": 3})[0].status == "finished"
    outcome, rows = run(first)
    assert outcome.status == "finished"
    assert numbers(rows) == numbers(run(whole)[1])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("correction=truncate",), "changes nothing here: rollout=hf with rollout.staleness=0"),
        (
            ("correction=sequence_mask", "optimizer.epochs=1"),
            "with one epoch of one minibatch the policy has not",
        ),
        (("correction=sequence_mask",), None),
        (("correction=sequence_mask", "optimizer.epochs=1", "optimizer.minibatches=2"), None),
        (("correction=truncate", "rollout.staleness=1"), None),
        (("correction=truncate", "rollout=noisy"), None),
        (("correction=none",), None),
    ],
)
def test_a_correction_that_changes_nothing_is_told(
    overrides: tuple[str, ...], told: str | None, tmp_path: Path
) -> None:
    config = small(tmp_path, *DAPO, "objective.anchor=old", *overrides)
    lines = idle_correction(parts_of(config), config)
    assert len(lines) == (told is not None)
    assert told is None or told in lines[0]
