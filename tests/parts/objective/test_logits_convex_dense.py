import math
import statistics
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from safelab.errors import ConfigError
from safelab.parts.objective._verifier import load_verifier
from safelab.types import TrainBatch
from support.models import context, model_directory
from support.objectives import current as now
from support.objectives import golden_batch, objective, told
from support.runs import numbers, parts_of, small, trained

# One distribution for every place: logits 1, 0, -1, and a verifier that finds the last token the best.
LOGP = torch.tensor([1.0, 0.0, -1.0]).log_softmax(0).expand(2, 3, 3)
JUDGED = torch.tensor([0.2, 0.3, 0.5]).log()


class Fixed:
    def log_probs(self, batch: TrainBatch) -> torch.Tensor:
        return JUDGED.expand(*batch.ids.shape, 3)


def made(**changes):
    return objective("logits_convex_dense", **changes).reading(Fixed())


def target(count: int, beta: float) -> list[float]:
    """The first ``count`` tokens are the old policy's likeliest; pi* by hand."""
    judged = JUDGED.tolist()[:count]
    mean, spread = statistics.mean(judged), statistics.stdev(judged)
    weights = [math.exp(1.0 - token + (judged[token] - mean) / spread / beta) for token in range(count)]
    return [weight / sum(weights) for weight in weights] + [0.0] * (3 - count)


@pytest.mark.parametrize(("count", "beta"), [(3, 2.0), (2, 2.0), (3, 0.5), (5, 10.0)])
def test_loss_and_gradient_are_those_of_the_tilted_distribution(count: int, beta: float) -> None:
    leaf = torch.tensor([1.0, 0.0, -1.0]).expand(2, 3, 3).clone().requires_grad_(True)
    batch = golden_batch(logp_vocab_old=LOGP, logp_old_tok=LOGP[..., 0])
    answer = told(made(top_k=count, beta=beta), now(LOGP[..., 0], leaf.log_softmax(-1)), batch)
    goal, old = target(min(count, 3), beta), LOGP[0, 0].exp().tolist()
    expected = sum(p * math.log(p / q) for p, q in zip(goal, old, strict=True) if p > 0)
    assert answer.loss_tok[0, 0].item() == pytest.approx(expected, abs=1e-6)
    answer.loss_tok[0, 0].backward()
    assert leaf.grad[0, 0].tolist() == pytest.approx([q - p for p, q in zip(goal, old, strict=True)], abs=1e-6)
    assert answer.metrics_tok["support_mass"][0, 0].item() == pytest.approx(sum(old[:count]), abs=1e-6)


def test_neither_advantage_nor_the_sampled_token_is_read() -> None:
    present = now(LOGP[..., 0], LOGP)
    batches = [
        golden_batch(logp_vocab_old=LOGP, **changes)
        for changes in ({}, {"advantage_tok": torch.full((2, 3), 7.0)}, {"ids": torch.full((2, 3), 2)})
    ]
    losses = [told(made(), present, batch).loss_tok for batch in batches]
    assert all(torch.equal(loss, losses[0]) for loss in losses)


def test_the_tail_is_drawn_in_where_the_verifier_agrees() -> None:
    """A judge that finds all alike: pi* is the old policy on its two likeliest tokens alone."""
    batch = golden_batch(logp_vocab_old=LOGP)
    alike = objective("logits_convex_dense", top_k=2)
    alike._verifier.log_probs = lambda batch: torch.zeros(2, 3, 3)
    leaf = torch.tensor([1.0, 0.0, -1.0]).expand(2, 3, 3).clone().requires_grad_(True)
    answer = told(alike, now(LOGP[..., 0], leaf.log_softmax(-1)), batch)
    answer.loss_tok[0, 0].backward()
    assert leaf.grad[0, 0, 2].item() == pytest.approx(LOGP[0, 0, 2].exp().item())
    assert answer.metrics_tok["target_shift"][0, 0].item() == pytest.approx(0, abs=1e-6)


def test_a_verifier_of_other_logits_is_refused() -> None:
    wide = torch.zeros(2, 3, 4).log_softmax(-1)
    with pytest.raises(ConfigError, match="as many logits as the policy, 4, got one with 3"):
        told(made(), now(wide[..., 0], wide), golden_batch(logp_vocab_old=wide))


@pytest.mark.parametrize(
    ("changes", "said"), [({"anchor": "rollout"}, "anchor=old"), ({"path": None}, "must have a path")]
)
def test_what_it_cannot_do_without_is_asked_for(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        objective("logits_convex_dense", **changes)


def dense(tmp_path: Path, *overrides: str) -> dict[str, object]:
    given = (f"objective.path={model_directory()}", "algorithm=lco", "objective=logits_convex_dense")
    return small(tmp_path, *given, *overrides)


def test_the_verifier_reads_what_transformers_reads(tmp_path: Path) -> None:
    """Each row by itself, without padding, through the model as it stands."""
    policy = parts_of(dense(tmp_path)).policy
    verifier = load_verifier(str(model_directory()), "float32", context(policy=policy))
    prompts = policy.encode(["a b c", "d"], [0, 1])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    batch = golden_batch(prompt_ids=prompts.ids, prompt_mask=prompts.mask, ids=torch.full((2, 3), 5), mask=mask)
    found = verifier.log_probs(batch)
    plain = AutoModelForCausalLM.from_pretrained(model_directory(), trust_remote_code=False).eval()
    for row in range(2):
        prompt = prompts.ids[row][prompts.mask[row]]
        logits = plain(torch.cat([prompt, batch.ids[row][mask[row]]])[None]).logits[0]
        expected = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        assert torch.allclose(found[row][mask[row]], expected, atol=1e-5)


def test_it_trains_and_the_policy_comes_nearer_to_its_target(tmp_path: Path) -> None:
    many, one, again = (
        trained(dense(tmp_path, f"optimizer.epochs={epochs}", "optimizer.lr=1e-2", "updates=2"))[2]
        for epochs in (6, 1, 1)
    )
    assert 0 < many[0]["policy/loss"] < one[0]["policy/loss"]
    assert numbers(one) == numbers(again)
